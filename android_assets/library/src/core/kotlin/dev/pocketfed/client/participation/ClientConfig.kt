package dev.pocketfed.client.participation

import dev.pocketfed.client.protocol.EligibilityRules
import dev.pocketfed.client.protocol.Timeouts
import java.nio.ByteBuffer
import okio.ByteString.Companion.encodeUtf8

/** Whom a client serves, and within what bounds. */
public data class ClientConfig(
    /** Address of the server, `https://host[:port][/path]`. */
    public val server: String,
    public val population: String,
    /** The app's version, for the operator's eyes. */
    public val clientVersion: String,
    /** The runtime that trains, with its version. */
    public val runtime: String = "",
    /** What a session waits for before it begins. */
    public val wakesWith: EligibilityRules = EligibilityRules(),
    /** Room for models and checkpoints that were downloaded. */
    public val shelfBytes: Long = 256L * 1024 * 1024,
    public val retry: RetryPolicy = RetryPolicy(),
    public val timeouts: Timeouts = Timeouts(),
)

/** Files that the app ships; they need no download. */
public fun interface Bundled {
    /** The file of this digest, direct or mapped, or null. */
    public fun find(sha256: String): ByteBuffer?
}

/** The platform's service that vouches for this phone. */
public interface Attestor {
    /** As the server names it, such as `play_integrity`. */
    public val kind: String

    /** A token over the server's [challenge]; throws NoAnswer when the service cannot be reached, else Unfit. */
    public fun attest(challenge: String): String

    public companion object {
        /** What a classic request to Play Integrity signs: SHA-256 of the challenge, Base64url without padding. */
        public fun nonce(challenge: String): String = challenge.encodeUtf8().sha256().base64Url().trimEnd('=')
    }
}

/** How deltas become bodies. */
public interface DeltaEncoder {
    /** Names of codecs, as they go into a check-in. */
    public val offered: List<String>

    /** The body of [delta], laid out as the artifact's [manifest] says; throws Unfit for an unknown codec. */
    public fun encode(codec: String, manifest: ByteArray, delta: FloatArray): ByteArray
}
