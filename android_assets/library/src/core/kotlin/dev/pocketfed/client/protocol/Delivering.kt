package dev.pocketfed.client.protocol

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable

/** How local work ended. */
@Serializable
public enum class Outcome {
    @SerialName("completed") COMPLETED,
    @SerialName("interrupted") INTERRUPTED,
    @SerialName("not_eligible") NOT_ELIGIBLE,
    @SerialName("failed") FAILED,
}

/**
 * A device announces its delta before it sends it, or tells what it has measured.
 *
 * [numExamples] is the FedAvg weight n_k, [loss] the mean over the last pass, [trainS] seconds. [bytes]
 * and [sha256] are those of the body that will follow; an evaluation has [metrics] instead.
 */
@Serializable
public data class Report(
    public val outcome: Outcome,
    @SerialName("num_examples") public val numExamples: Int = 0,
    public val bytes: Long = 0,
    public val sha256: String? = null,
    public val loss: Double? = null,
    @SerialName("train_s") public val trainS: Double? = null,
    public val metrics: Map<String, Double> = emptyMap(),
) {
    /** Whether a body is to follow. */
    public val isAnnouncing: Boolean get() = outcome == Outcome.COMPLETED && sha256 != null
}

/** What a report is answered with. */
public sealed interface ReportAnswer

/**
 * Where and until when the announced body may be sent. An absolute [url] is another host's: it gets these
 * [headers] and nothing else. With a [commitUrl] the body counts only once the device has posted to it.
 */
@Serializable
public data class UploadInstruction(
    public val url: String,
    public val method: String = "PUT",
    public val headers: Map<String, String> = emptyMap(),
    @SerialName("upload_within_s") public val uploadWithinS: Double,
    @SerialName("commit_url") public val commitUrl: String? = null,
) : ReportAnswer

/** The delta is on durable storage and counts once, however often it is sent again. */
@Serializable
public data class Receipt(
    @SerialName("assignment_id") public val assignmentId: String,
    public val sha256: String,
    public val bytes: Long,
)

/** Where an assignment stands; [state] is a word of the protocol, maybe of a later version. */
@Serializable
public data class Fate(
    @SerialName("assignment_id") public val assignmentId: String,
    public val state: String,
    public val reason: String? = null,
    public val retry: RetryWindow,
) : ReportAnswer {
    /** Whether the work is with the server for good. */
    public val isDelivered: Boolean get() = state in setOf("uploaded", "measured", "folded")

    /** Whether the place is gone without the work. */
    public val isLost: Boolean get() = state in setOf("failed", "rejected", "expired", "aborted", "late")
}
