package dev.pocketfed.client.protocol

import dev.pocketfed.client.Unfit
import kotlin.random.Random
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.decodeFromJsonElement

/** What the devices of a round do with its checkpoint. A server may name kinds of later versions. */
public object RoundKind {
    public const val TRAIN: String = "train"
    public const val EVALUATE: String = "evaluate"
}

/** What a device can do, encode and hold; [codecs] in any order. */
@Serializable
public data class Capabilities(
    public val kinds: List<String>,
    public val codecs: List<String>,
    public val runtime: String = "",
    @SerialName("max_bytes") public val maxBytes: Long? = null,
)

/**
 * A device offers to serve its population. [examplesBucket] is its number of examples rounded down to a
 * power of two, so that the server learns no exact number before the device has trained.
 */
@Serializable
public data class CheckIn(
    @SerialName("client_version") public val clientVersion: String,
    public val capabilities: Capabilities,
    @SerialName("examples_bucket") public val examplesBucket: Int = 0,
    @SerialName("protocol_version") public val protocolVersion: Int = PROTOCOL_VERSION,
)

/** Come back between [minS] and [maxS] seconds from the arrival of the answer. */
@Serializable
public data class RetryWindow(
    @SerialName("min_s") public val minS: Double,
    @SerialName("max_s") public val maxS: Double,
) {
    /** One uniform instant of the window, in seconds; drawn once, when the window arrives. */
    public fun draw(random: Random): Double = minS + (maxS - minS).coerceAtLeast(0.0) * random.nextDouble()
}

/** Immutable bytes to download; [url] is relative to the server. */
@Serializable
public data class Resource(
    public val url: String,
    public val sha256: String,
    public val bytes: Long,
)

/** What a check-in is answered with. */
public sealed interface CheckInAnswer

/**
 * A place in one round. The time-outs count from the moment the answer arrives. [kind] is one of
 * [RoundKind], and in a round that evaluates [round] is the version that is measured.
 */
@Serializable
public data class Assignment(
    @SerialName("assignment_id") public val assignmentId: String,
    public val task: String,
    public val kind: String = RoundKind.TRAIN,
    public val round: Int,
    public val attempt: Int,
    public val checkpoint: Resource,
    public val model: Resource,
    public val manifest: Resource,
    public val plan: JsonObject,
    public val codec: String = "float32",
    @SerialName("compute_within_s") public val computeWithinS: Double,
    @SerialName("upload_within_s") public val uploadWithinS: Double,
    public val retry: RetryWindow,
) : CheckInAnswer {
    /** The plan; throws Unfit when it holds a field this client does not know or a number none can follow. */
    public fun readPlan(): Plan {
        val read = try {
            STRICT.decodeFromJsonElement<Plan>(plan)
        } catch (error: SerializationException) {
            throw Unfit(NOT_ELIGIBLE, "the plan is not one this client can follow; update the app", error)
        }
        val counts = listOf(read.epochs, read.batchSize, read.maxExamples, read.eligibility.minExamples)
        if (counts.min() < 1 || !read.learningRate.isFinite() || read.learningRate <= 0f) {
            throw Unfit(NOT_ELIGIBLE, "the plan has counts $counts, expected each to be 1 at least")
        }
        return read
    }
}

/** Not now; come back within the window. Being turned away is a normal answer. */
@Serializable
public data class Rejection(
    public val reason: String,
    public val detail: String = "",
    public val retry: RetryWindow,
) : CheckInAnswer

/** The code of an Unfit that asks for more than this phone is or has. */
internal const val NOT_ELIGIBLE: String = "not_eligible"
