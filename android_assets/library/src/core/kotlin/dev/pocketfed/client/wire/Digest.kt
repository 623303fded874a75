package dev.pocketfed.client.wire

import java.nio.ByteBuffer
import java.security.MessageDigest
import okio.ByteString.Companion.decodeHex
import okio.ByteString.Companion.toByteString

/** SHA-256 in the two ways it travels: hexadecimal in messages, and as RFC 9530 has it in a header. */
public object Digest {
    /** Of what remains in [body], whose position stays where it is. */
    public fun sha256(body: ByteBuffer): String {
        val digest = MessageDigest.getInstance("SHA-256").apply { update(body.duplicate()) }.digest()
        return digest.toByteString().hex()
    }

    public fun sha256(body: ByteArray): String = sha256(ByteBuffer.wrap(body))

    /** The `Content-Digest` header for a body of this hexadecimal digest. */
    public fun contentDigest(sha256: String): String = "sha-256=:${sha256.decodeHex().base64()}:"
}
