package dev.pocketfed.client.protocol

import dev.pocketfed.client.NoAnswer
import dev.pocketfed.client.PocketFedException
import dev.pocketfed.client.Refused
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.SerializationException

/** An error as it travels: RFC 9457, plus `code` and what its code adds. */
@Serializable
internal data class Problem(
    val code: String,
    val detail: String = "",
    @SerialName("retry_after_s") val retryAfterS: Double? = null,
    val challenge: String? = null,
)

internal const val PROBLEM_TYPE: String = "application/problem+json"
private const val SERVER_FAILED = 500
private val PASSING = setOf(408, 429) // of an object store or a proxy, which write no problem documents

/** The error that an answer which is no 2xx stands for; [text] is its body, [retryAfter] the header. */
internal fun errorOf(status: Int, mediaType: String, retryAfter: String?, text: String): PocketFedException {
    val waitS = retryAfter?.toDoubleOrNull()?.takeIf { it >= 0 && it.isFinite() }
    val problem = if (mediaType.startsWith(PROBLEM_TYPE)) problemOf(text) else null
    if (problem != null) {
        return Refused(problem.code, status, problem.detail, waitS ?: problem.retryAfterS, problem.challenge)
    }
    val said = "got the status $status without a problem document"
    return when {
        status >= SERVER_FAILED || status in PASSING -> Refused("unavailable", status, said, waitS)
        status < FIRST_REFUSAL -> NoAnswer("$said, so it is no answer of this protocol; is the network open?")
        else -> Refused("protocol_error", status, said)
    }
}

private const val FIRST_REFUSAL = 400

private fun problemOf(text: String): Problem? = try {
    LENIENT.decodeFromString<Problem>(text)
} catch (_: SerializationException) {
    null
}
