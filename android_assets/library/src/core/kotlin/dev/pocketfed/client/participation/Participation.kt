package dev.pocketfed.client.participation

/** How a session ended, as the phone saw it. */
public enum class SessionOutcome {
    /** It is not time yet; nothing was sent. */
    NOT_DUE,

    /** The phone lacked something before it began; nothing was sent. */
    NOT_READY,

    /** The server had no place. */
    TURNED_AWAY,

    /** The server has the delta, or what was measured. */
    ACCEPTED,

    /** The round closed, or the place expired, before the work was there. */
    LATE,

    /** The server refused; what was made is dropped. */
    REFUSED,

    /** Something broke; an open place is kept for the next session, or was given back. */
    FAILED,

    /** The phone stopped; finished work is kept. */
    INTERRUPTED,
}

/** One call of [FederatedClient.participate]. */
public data class Participation(
    public val outcome: SessionOutcome,
    /** One sentence, or the server's word; safe to log. */
    public val detail: String,
    /** Seconds from now until the client is due again. */
    public val nextDueS: Double,
    /** The examples that counted, if the outcome is ACCEPTED. */
    public val numExamples: Int = 0,
)

/** What a session has just done. */
public enum class Mark { ENROLLED, ASSIGNED, RESUMED, DOWNLOADED, LEARNED, KEPT, REPORTED, UPLOADED, RETRYING, ENDED }

/** One [mark] on the way, with its [detail]: an identifier, or what went wrong. */
public data class Event(public val mark: Mark, public val detail: String = "")
