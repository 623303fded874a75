package dev.pocketfed.client

/**
 * Any failure an app or the client itself can act on; [code] is that of `docs/protocol.md`, "Errors",
 * and the message is one sentence.
 *
 * ```
 * PocketFedException
 * ├─ Refused          the server answered with a problem document
 * ├─ NoAnswer         nobody answered, or the answer broke off: try again later
 * ├─ Damaged          bytes are not what was promised
 * ├─ Unfit            this phone cannot do what is asked: another layout, an unknown codec or plan
 * └─ Stopped          the phone was told to stop
 * ```
 */
public sealed class PocketFedException(public val code: String, message: String, cause: Throwable? = null) :
    Exception(message, cause)

/** The server answered with a problem document of this HTTP [status]. */
public class Refused(
    code: String,
    public val status: Int,
    message: String,
    /** Seconds to wait before the same request, on 503 and 429. */
    public val retryAfterS: Double? = null,
    /** What to have signed, on `attestation_needed`. */
    public val challenge: String? = null,
) : PocketFedException(code, message)

/** Nobody answered, or the answer broke off. */
public class NoAnswer(message: String, cause: Throwable? = null) : PocketFedException("no_answer", message, cause)

/** Bytes are not what was promised: a digest, a length or an encoding does not hold. */
public class Damaged(code: String, message: String, cause: Throwable? = null) : PocketFedException(code, message, cause)

/** This phone cannot do what is asked. */
public class Unfit(code: String, message: String, cause: Throwable? = null) : PocketFedException(code, message, cause)

/** The phone was told to stop before it was done. */
public class Stopped(message: String) : PocketFedException("stopped", message)
