package dev.pocketfed.client.participation

import java.io.File
import java.util.concurrent.atomic.AtomicInteger
import mockwebserver3.MockResponse
import mockwebserver3.RecordedRequest
import mockwebserver3.SocketEffect
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.io.TempDir

private val STEPS = listOf("/v1/devices", "/check-ins", "/v1/blobs/", "/report", "/update")

/** An answer in place of the server's own, and whether the server saw the request all the same. */
private class Fault(val name: String, val wasSeen: Boolean, val answer: (MockResponse) -> MockResponse)

private val FAULTS = listOf(
    Fault("stalled", wasSeen = true) { it.newBuilder().onResponseBody(SocketEffect.Stall).build() },
    Fault("cut in the middle", wasSeen = true) { it.newBuilder().onResponseBody(SocketEffect.CloseSocket()).build() },
    Fault("reset after it arrived", wasSeen = true) { it.newBuilder().onResponseStart(SocketEffect.CloseSocket()).build() },
    Fault("reset before it arrived", wasSeen = false) { it.newBuilder().onRequestBody(SocketEffect.CloseSocket()).build() },
    Fault("answered 503", wasSeen = false) { problem(503, "unavailable", retryAfterS = 7.0) },
    Fault("answered 429", wasSeen = false) { problem(429, "rate_limited", retryAfterS = 9.0) },
    Fault("answered 502 by a proxy", wasSeen = false) { MockResponse.Builder().code(502).body("<html>").build() },
    Fault("answered in no JSON", wasSeen = true) { MockResponse.Builder().code(200).body("<html>log in</html>").build() },
)

class FaultsTest {
    @TempDir
    lateinit var folder: File
    private val server = FakeServer()

    @AfterEach
    fun close(): Unit = server.close()

    @TestFactory
    fun `one fault at any step costs nothing but time`(): List<DynamicTest> = STEPS.flatMap { step ->
        FAULTS.filterNot { step == "/v1/blobs/" && it.name == "answered in no JSON" }.map { fault ->
            dynamicTest("$step is ${fault.name}") { sufferOnce(step, fault) }
        }
    }

    private fun sufferOnce(step: String, fault: Fault) = FakeServer().use { server ->
        val count = AtomicInteger()
        server.fault = { request ->
            val isFirst = step in request.url.encodedPath && count.incrementAndGet() == 1
            if (!isFirst) null else fault.answer(if (fault.wasSeen) server.answer(request) else ok())
        }
        val phone = Phone(server, File(folder, "$step ${fault.name}"))
        val ended = phone.participate()
        assertEquals(SessionOutcome.ACCEPTED, ended.outcome, ended.detail)
        assertEquals(listOf(1, 1, 1), listOf(server.accepted, server.places, server.devices))
    }

    @Test
    fun `a wait that the server names is the wait`() {
        val count = AtomicInteger()
        server.fault = { if (isUpload(it) && count.incrementAndGet() <= 2) problem(503, "unavailable", 7.0) else null }
        val phone = Phone(server, folder)
        phone.participate()
        assertEquals(14.0, phone.clock.slept.sum())
    }

    @Test
    fun `without a wait of the server's the tries are 5 and 10 seconds apart`() {
        val count = AtomicInteger()
        server.fault = { if (isUpload(it) && count.incrementAndGet() <= 2) reset() else null }
        val phone = Phone(server, folder)
        phone.participate()
        assertEquals(15.0, phone.clock.slept.sum())
    }

    @Test
    fun `after three tries the phone comes back in a quarter of an hour with the same bytes`() {
        server.fault = { if (isUpload(it)) server.answer(it).newBuilder().onResponseStart(SocketEffect.CloseSocket()).build() else null }
        val phone = Phone(server, folder)
        val ended = phone.participate()
        assertEquals(SessionOutcome.FAILED, ended.outcome)
        assertTrue(ended.nextDueS in 720.0..1080.0, "${ended.nextDueS}")
        assertEquals(3, server.uploads.size)
        server.fault = { null }
        phone.clock.wait(ended.nextDueS)
        assertEquals(SessionOutcome.ACCEPTED, phone.participate().outcome)
        assertEquals(1, server.uploads.toSet().size)
    }

    @Test
    fun `a wait longer than a session lasts ends the session, and the same request goes out after it`() {
        server.fault = { if ("check-ins" in it.url.encodedPath) problem(429, "rate_limited", 3000.0) else null }
        val phone = Phone(server, folder)
        assertEquals(3000.0, phone.participate().nextDueS)
        server.fault = { null }
        phone.clock.wait(3000.0)
        assertEquals(SessionOutcome.ACCEPTED, phone.participate().outcome)
        val keys = server.seen.filter { "check-ins" in it.url.encodedPath }.map { it.headers["Idempotency-Key"] }
        assertEquals(1, keys.toSet().size)
    }

    @Test
    fun `a download goes on where it broke off`() {
        val count = AtomicInteger()
        server.fault = { request ->
            val isFirst = "/blobs/" in request.url.encodedPath && count.incrementAndGet() == 1
            if (isFirst) server.answer(request).newBuilder().onResponseBody(SocketEffect.CloseSocket()).build() else null
        }
        assertEquals(SessionOutcome.ACCEPTED, Phone(server, folder).participate().outcome)
        val again = server.seen.filter { "/blobs/" in it.url.encodedPath }[1]
        val sha256 = again.url.pathSegments.last()
        assertTrue(again.headers["Range"]!!.matches(Regex("bytes=[1-9]\\d*-")), "${again.headers["Range"]}")
        assertEquals("\"$sha256\"", again.headers["If-Range"])
    }

    @Test
    fun `a download without its digest gives the place back`() {
        server.fault = { if ("/blobs/" in it.url.encodedPath) MockResponse.Builder().body("x".repeat(MODEL.length)).build() else null }
        assertEquals(SessionOutcome.FAILED, Phone(server, folder).participate().outcome)
        assertTrue("\"outcome\":\"failed\"" in server.seen.last().body!!.utf8())
    }

    private fun ok() = MockResponse.Builder().build()

    private fun reset() = MockResponse.Builder().onResponseStart(SocketEffect.CloseSocket()).build()

    private fun isUpload(request: RecordedRequest) = request.url.encodedPath.endsWith("/update")
}
