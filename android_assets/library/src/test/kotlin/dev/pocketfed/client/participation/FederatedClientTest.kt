package dev.pocketfed.client.participation

import dev.pocketfed.client.Stopped
import dev.pocketfed.client.Unfit
import dev.pocketfed.client.protocol.EligibilityRules
import dev.pocketfed.client.protocol.Rejection
import dev.pocketfed.client.protocol.RetryWindow
import dev.pocketfed.client.training.StopSignal
import java.io.File
import java.nio.ByteBuffer
import java.util.concurrent.atomic.AtomicInteger
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import mockwebserver3.RecordedRequest
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class FederatedClientTest {
    @TempDir
    lateinit var folder: File
    private val server = FakeServer()
    private lateinit var phone: Phone

    @BeforeEach
    fun start() {
        phone = Phone(server, folder)
    }

    @AfterEach
    fun close(): Unit = server.close()

    @Test
    fun `a session enrols, checks in, downloads, trains, reports and uploads`() {
        val ended = phone.participate()
        assertEquals(Participation(SessionOutcome.ACCEPTED, "uploaded", 600.0, numExamples = 12), ended)
        val kinds = server.lines.map { it.replace(Regex("[0-9a-f]{64}"), "SHA256") }
        val expected = listOf("POST /v1/devices", "POST /v1/populations/phones/check-ins") +
            List(3) { "GET /v1/blobs/SHA256" } +
            listOf("POST /v1/assignments/place-0/report", "PUT /v1/assignments/place-0/update")
        assertEquals(expected, kinds)
        assertEquals(CHECKPOINT, phone.learner.material!!.checkpoint.decodeToString())
    }

    @Test
    fun `nothing is sent before the drawn instant`() {
        phone.participate()
        phone.clock.wait(599.0)
        val before = server.lines.size
        assertEquals(SessionOutcome.NOT_DUE, phone.participate().outcome)
        assertEquals(before, server.lines.size)
    }

    @Test
    fun `what was downloaded or ships with the app is not downloaded again`() {
        phone.bundled = Bundled { if (it == dev.pocketfed.client.wire.Digest.sha256(MODEL.encodeToByteArray())) direct(MODEL) else null }
        phone.participate()
        phone.clock.wait(600.0)
        phone.participate()
        assertEquals(2, server.lines.count { "/blobs/" in it })
    }

    @Test
    fun `a rejection draws one instant of its window`() {
        server.fault = { if (isCheckIn(it)) json(Rejection("of a later version", "no", RetryWindow(100.0, 200.0))) else null }
        val ended = phone.participate()
        assertEquals(SessionOutcome.TURNED_AWAY, ended.outcome)
        assertTrue(ended.nextDueS in 100.0..200.0)
        assertEquals(ended.nextDueS, phone.started().use { it.nextDueS }, 1e-6)
    }

    @Test
    fun `an expired token is renewed with the old one as the bearer`() {
        phone.participate()
        phone.clock.wait(600.0)
        server.fault = { if (it.headers["Authorization"] == "Bearer token-0" && isCheckIn(it)) problem(401, "token_expired") else null }
        assertEquals(SessionOutcome.ACCEPTED, phone.participate().outcome)
        val enrolments = server.seen.filter { it.url.encodedPath == "/v1/devices" }
        assertNull(enrolments[0].headers["Authorization"])
        assertEquals("Bearer token-0", enrolments[1].headers["Authorization"])
        assertNotEquals(enrolments[0].headers["Idempotency-Key"], enrolments[1].headers["Idempotency-Key"])
    }

    @Test
    fun `a challenge is answered under a key of its own`() {
        server.fault = { if (isFirstEnrolment(it)) problem(401, "attestation_needed", challenge = "sign this") else null }
        phone.attestor = attestor { "signed: $it" }
        assertEquals(SessionOutcome.ACCEPTED, phone.participate().outcome)
        val enrolments = server.seen.filter { it.url.encodedPath == "/v1/devices" }
        assertTrue("signed: sign this" in enrolments[1].body!!.utf8())
        assertEquals(2, enrolments.map { it.headers["Idempotency-Key"] }.toSet().size)
    }

    @Test
    fun `a phone that nobody vouches for comes back in four hours`() {
        server.fault = { if (it.url.encodedPath == "/v1/devices") problem(401, "attestation_needed", challenge = "x") else null }
        val ended = phone.participate()
        assertEquals(SessionOutcome.REFUSED, ended.outcome)
        assertTrue(ended.nextDueS in 0.8 * 14400..1.2 * 14400)
    }

    @Test
    fun `a token that belongs to nobody is forgotten`() {
        phone.participate()
        phone.clock.wait(600.0)
        server.fault = { if (isCheckIn(it)) problem(401, "unauthenticated") else null }
        val refused = phone.participate()
        server.fault = { null }
        phone.clock.wait(refused.nextDueS)
        phone.participate()
        assertNull(server.seen.last { it.url.encodedPath == "/v1/devices" }.headers["Authorization"])
    }

    @Test
    fun `a round that closed at the report drops the delta until the retry window`() {
        server.fault = { if (it.url.encodedPath.endsWith("/report")) problem(409, "round_closed") else null }
        val ended = phone.participate()
        assertEquals(SessionOutcome.LATE to 600.0, ended.outcome to ended.nextDueS)
        phone.started().use { assertEquals(false, it.holdsPlace) }
        assertEquals(listOf("memory", "shelf"), folder.list()!!.sorted())
    }

    @Test
    fun `an evaluation reports finite metrics and uploads nothing`() {
        server.kind = "evaluate"
        assertEquals(SessionOutcome.ACCEPTED, phone.participate().outcome)
        val report = server.seen.last()
        assertTrue(report.url.encodedPath.endsWith("/report"))
        assertTrue("\"metrics\":{\"loss\":0.5}" in report.body!!.utf8())
    }

    @Test
    fun `a plan with a field of a later version gives the place back untouched`() {
        server.plan = JsonObject(mapOf("epochs" to JsonPrimitive(1), "momentum" to JsonPrimitive(0.9)))
        assertGivenBack("not_eligible")
        assertEquals(emptyList<String>(), phone.learner.keys)
    }

    @Test
    fun `a kind of round of a later version gives the place back`() {
        server.kind = "distil"
        assertGivenBack("not_eligible")
    }

    @Test
    fun `too few examples for the plan give the place back`() {
        server.plan = JsonObject(mapOf("eligibility" to JsonObject(mapOf("min_examples" to JsonPrimitive(13)))))
        assertGivenBack("not_eligible")
    }

    @Test
    fun `a plan that asks for more than the app waits for gives the place back`() {
        phone.wakesWith = EligibilityRules(idle = false)
        phone.conditions = Conditions { if (it.idle) setOf(Condition.IDLE) else emptySet() }
        assertGivenBack("not_eligible")
    }

    @Test
    fun `a learner that cannot do the work gives the place back`() {
        phone.learner = FixedLearner { throw Unfit("spec_mismatch", "another layout") }
        assertGivenBack("failed")
    }

    @Test
    fun `an app whose own code fails gives the place back`() {
        phone.learner = FixedLearner { error("no such table") }
        assertGivenBack("failed")
    }

    @Test
    fun `a model that the shelf cannot hold gives the place back`() {
        phone.shelfBytes = 10
        assertGivenBack("failed")
    }

    @Test
    fun `a phone that lacks something sends nothing`() {
        phone.conditions = Conditions { setOf(Condition.CHARGING) }
        assertEquals(SessionOutcome.NOT_READY, phone.participate().outcome)
        assertEquals(0, server.lines.size)
    }

    @Test
    fun `a phone that is unplugged while it trains gives the place back`() {
        loseWhileTraining(Condition.CHARGING)
        assertEquals(SessionOutcome.INTERRUPTED to 600.0, phone.participate().let { it.outcome to it.nextDueS })
        assertTrue("\"outcome\":\"interrupted\"" in server.seen.last().body!!.utf8())
    }

    @Test
    fun `a phone that loses its network while it trains tells nobody and goes on later`() {
        loseWhileTraining(Condition.UNMETERED)
        assertEquals(SessionOutcome.INTERRUPTED to 0.0, phone.participate().let { it.outcome to it.nextDueS })
        phone.conditions = Conditions { emptySet() }
        phone.learner = FixedLearner()
        assertEquals(SessionOutcome.ACCEPTED, phone.participate().outcome)
        assertEquals(listOf("place-0"), phone.learner.keys)
        assertEquals(1, server.lines.count { "check-ins" in it })
    }

    @Test
    fun `a phone that is told to stop keeps its place and goes on under the same key`() {
        var isRaised = false
        phone.learner = FixedLearner {
            isRaised = true
            throw Stopped("told to stop")
        }
        assertEquals(SessionOutcome.INTERRUPTED, phone.participate(StopSignal { isRaised }).outcome)
        phone.learner = FixedLearner()
        assertEquals(SessionOutcome.ACCEPTED, phone.participate().outcome)
        assertEquals(listOf("place-0"), phone.learner.keys)
    }

    @Test
    fun `finished work outlives the loss of what the phone needs`() {
        var missing = emptySet<Condition>()
        phone.conditions = Conditions { missing }
        phone.observe = { if (it.mark == Mark.KEPT) missing = setOf(Condition.IDLE) }
        assertEquals(SessionOutcome.INTERRUPTED, phone.participate().outcome)
        missing = emptySet()
        assertEquals(SessionOutcome.ACCEPTED, phone.participate().outcome)
        assertEquals(1, phone.learner.keys.size)
    }

    @Test
    fun `the time to compute counts from the arrival of the assignment`() {
        phone.learner = FixedLearner { stop ->
            phone.clock.wait(901.0)
            if (stop.isRaised()) throw Stopped("told to stop")
        }
        assertEquals(SessionOutcome.LATE, phone.participate().outcome)
        assertEquals(0, server.uploads.size)
    }

    @Test
    fun `an update that was damaged on the phone is not sent`() {
        phone.observe = { if (it.mark == Mark.KEPT) throw Error("killed") }
        runCatching { phone.participate() }
        File(folder, "update").writeBytes(byteArrayOf(1))
        phone.observe = {}
        assertEquals(SessionOutcome.FAILED, phone.participate().outcome)
        assertEquals("DELETE /v1/assignments/place-0", server.lines.last())
    }

    @Test
    fun `leaving gives the place back`() {
        phone.participate(stopAfter(3))
        phone.started().use { it.leave() }
        assertEquals("DELETE /v1/assignments/place-0", server.lines.last())
    }

    private fun assertGivenBack(outcome: String) {
        assertEquals(SessionOutcome.FAILED to 600.0, phone.participate().let { it.outcome to it.nextDueS })
        assertTrue("\"outcome\":\"$outcome\"" in server.seen.last().body!!.utf8(), server.lines.last())
    }

    private fun loseWhileTraining(condition: Condition) {
        var missing = emptySet<Condition>()
        phone.conditions = Conditions { missing }
        phone.learner = FixedLearner { stop ->
            missing = setOf(condition)
            if (stop.isRaised()) throw Stopped("told to stop")
        }
    }

    private fun stopAfter(requests: Int) = StopSignal { server.seen.size >= requests }

    private fun attestor(sign: (String) -> String) = object : Attestor {
        override val kind = "play_integrity"
        override fun attest(challenge: String) = sign(challenge)
    }

    private val enrolments = AtomicInteger()

    private fun isFirstEnrolment(request: RecordedRequest): Boolean =
        request.url.encodedPath == "/v1/devices" && enrolments.incrementAndGet() == 1

    private fun isCheckIn(request: RecordedRequest) = request.url.encodedPath.endsWith("/check-ins")

    private fun direct(text: String): ByteBuffer =
        ByteBuffer.allocateDirect(text.length).apply { put(text.encodeToByteArray()) }.apply { flip() }
}
