package dev.pocketfed.client.participation

import java.security.SecureRandom
import okio.ByteString.Companion.toByteString

private const val KEY_BYTES = 24
private val SECRET = SecureRandom()

/** A key as secret as a token, in 48 hexadecimal digits. */
internal fun newKey(): String = ByteArray(KEY_BYTES).also(SECRET::nextBytes).toByteString().hex()
