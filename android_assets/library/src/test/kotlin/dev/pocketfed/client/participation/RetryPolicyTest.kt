package dev.pocketfed.client.participation

import dev.pocketfed.client.NoAnswer
import dev.pocketfed.client.PocketFedException
import dev.pocketfed.client.Refused
import java.io.File
import kotlin.random.Random
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.Json
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What a simulated phone does after an error that ended a step. */
@Serializable
private class RetryCase(
    val code: String,
    val status: Int?,
    @SerialName("retry_after_s") val retryAfterS: Double?,
    val step: Step,
    val tries: Int,
    val remedy: Remedy,
    @SerialName("wait_s") val waitS: List<Double>?,
) {
    val error: PocketFedException
        get() = if (status == null) NoAnswer("failed") else Refused(code, status, "failed", retryAfterS)
}

/** Draws one end of every range. */
private class EndOf(private val share: Double) : Random() {
    override fun nextBits(bitCount: Int): Int = 0
    override fun nextDouble(): Double = share
}

class RetryPolicyTest {
    private val policy = RetryPolicy()
    private val cases = Json.decodeFromString<List<RetryCase>>(File(GOLDEN, "retrying.json").readText())

    @Test
    fun `every error has the remedy that simulated phones take`() {
        for (case in cases) {
            val chosen = policy.remedy(case.error, case.step, case.tries)
            assertEquals(case.remedy, chosen, "${case.code} at ${case.step}, try ${case.tries}")
        }
    }

    @Test
    fun `every wait has the range of simulated phones`() {
        for (case in cases) {
            val ends = listOf(EndOf(0.0), EndOf(1.0)).map { waitS(case, it) }
            val expected = case.waitS ?: listOf(0.0, 0.0)
            expected.zip(ends).forEach { (wait, got) -> assertEquals(wait, got, 1e-6, case.code) }
        }
        assertTrue(cases.size > 100)
    }

    private fun waitS(case: RetryCase, random: Random): Double = when (case.remedy) {
        Remedy.SAME_REQUEST -> policy.sameRequestWaitS(case.error, case.tries)
        Remedy.NO_ANSWER -> policy.noAnswerWaitS(random)
        Remedy.REFUSED -> policy.refusedWaitS(random)
        Remedy.GIVE_UP, Remedy.RETRY_WINDOW -> 0.0
    }

    @Test
    fun `a failure of a server of a later version may pass`() {
        assertEquals(Remedy.SAME_REQUEST, policy.remedy(Refused("of_later", 507, "full"), Step.UPLOAD, 1))
    }
}
