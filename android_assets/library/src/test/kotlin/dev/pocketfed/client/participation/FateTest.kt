package dev.pocketfed.client.participation

import dev.pocketfed.client.protocol.Fate
import dev.pocketfed.client.protocol.RetryWindow
import java.io.File
import mockwebserver3.RecordedRequest
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.ValueSource

/** A phone that died after its work was done, and what the server says of its place then. */
class FateTest {
    @TempDir
    lateinit var folder: File
    private val server = FakeServer()
    private lateinit var phone: Phone

    @BeforeEach
    fun dieWithTheWorkDone() {
        phone = Phone(server, folder)
        phone.observe = { if (it.mark == Mark.KEPT) throw Error("killed") }
        runCatching { phone.participate() }
        phone.observe = {}
    }

    @AfterEach
    fun close(): Unit = server.close()

    private fun stands(state: String) {
        val fate = Fate("place-0", state, null, RetryWindow(50.0, 50.0))
        server.fault = { request -> json(fate).takeIf { isAsking(request) } }
    }

    private fun isAsking(request: RecordedRequest) =
        request.method == "GET" && request.url.encodedPath == "/v1/assignments/place-0"

    @ParameterizedTest
    @ValueSource(strings = ["uploaded", "folded", "measured"])
    fun `an update that counts already is not sent again`(state: String) {
        stands(state)
        val before = server.lines
        val ended = phone.participate()
        assertEquals(SessionOutcome.ACCEPTED to 12, ended.outcome to ended.numExamples)
        assertEquals(before + "GET /v1/assignments/place-0", server.lines)
    }

    @Test
    fun `a place that is gone drops the update until the window of its fate`() {
        stands("late")
        assertEquals(SessionOutcome.LATE to 50.0, phone.participate().let { it.outcome to it.nextDueS })
        assertEquals(0, server.uploads.size)
    }

    @Test
    fun `a state of a later version is no reason to drop the update`() {
        stands("validating")
        assertEquals(SessionOutcome.ACCEPTED, phone.participate().outcome)
        assertEquals(1, server.uploads.size)
    }

    @Test
    fun `a place that nobody knows drops the update until the window of the assignment`() {
        server.fault = { request -> problem(404, "not_found").takeIf { isAsking(request) } }
        assertEquals(SessionOutcome.REFUSED to 600.0, phone.participate().let { it.outcome to it.nextDueS })
        phone.started().use { assertEquals(false, it.holdsPlace) }
    }
}
