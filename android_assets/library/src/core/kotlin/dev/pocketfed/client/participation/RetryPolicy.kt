package dev.pocketfed.client.participation

import dev.pocketfed.client.NoAnswer
import dev.pocketfed.client.PocketFedException
import dev.pocketfed.client.Refused
import kotlin.math.pow
import kotlin.random.Random

/** The steps of a session. */
public enum class Step { CHECK_IN, DOWNLOAD, TRAIN, REPORT, UPLOAD }

/** What follows an error. */
public enum class Remedy {
    /** Send the same request again. */
    SAME_REQUEST,

    /** Report that no delta will come. */
    GIVE_UP,

    /** Drop the delta and check in after the retry window. */
    RETRY_WINDOW,

    /** Check in after a quarter of an hour. */
    NO_ANSWER,

    /** Check in after four hours. */
    REFUSED,
}

/**
 * The waits of `docs/protocol.md`, "Retrying", in seconds; [tries] counts the first request too.
 *
 * A wait above [longestPauseS] is not slept through within a session: the session ends, and the next one
 * goes on with the same request.
 */
public data class RetryPolicy(
    public val tries: Int = 3,
    public val firstWaitS: Double = 5.0,
    public val growth: Double = 2.0,
    public val noAnswerS: Double = 15 * 60.0,
    public val refusedS: Double = 4 * 3600.0,
    public val jitter: Double = 0.2,
    public val longestPauseS: Double = 120.0,
) {
    /** The wait before a request goes out again after [tries] failed ones. */
    public fun sameRequestWaitS(error: PocketFedException, tries: Int): Double =
        (error as? Refused)?.retryAfterS ?: (firstWaitS * growth.pow(tries - 1))

    public fun noAnswerWaitS(random: Random): Double = around(noAnswerS, random)

    public fun refusedWaitS(random: Random): Double = around(refusedS, random)

    /** What to do after [tries] requests of one [step] failed in a row, the last with [error]. */
    public fun remedy(error: PocketFedException, step: Step, tries: Int): Remedy = when {
        error.isPassing -> if (tries < this.tries) Remedy.SAME_REQUEST else Remedy.NO_ANSWER
        error.code in SENT_AWAY -> Remedy.REFUSED
        step == Step.CHECK_IN -> if (error.code == "not_found") Remedy.REFUSED else Remedy.NO_ANSWER
        step == Step.DOWNLOAD || step == Step.TRAIN -> Remedy.GIVE_UP
        else -> Remedy.RETRY_WINDOW
    }

    private fun around(middleS: Double, random: Random): Double =
        middleS * (1 - jitter + 2 * jitter * random.nextDouble())
}

private val SENT_AWAY = setOf(
    "unsupported_version", "unauthenticated", "token_expired", "attestation_needed", "attestation_failed",
    "device_revoked",
)
private val PASSING = setOf("unavailable", "rate_limited", "truncated_body")
private const val SERVER_FAILED = 500

/** Whether the same message may succeed later. Of a server's failures only `internal` is known to stay. */
internal val PocketFedException.isPassing: Boolean
    get() = this is NoAnswer ||
        (this is Refused && (code in PASSING || (status >= SERVER_FAILED && code != "internal")))
