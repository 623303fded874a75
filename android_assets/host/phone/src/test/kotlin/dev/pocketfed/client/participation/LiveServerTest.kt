package dev.pocketfed.client.participation

import dev.pocketfed.client.protocol.Plan
import dev.pocketfed.client.training.Learned
import dev.pocketfed.client.training.Learner
import dev.pocketfed.client.training.Material
import dev.pocketfed.client.training.Measured
import dev.pocketfed.client.training.StopSignal
import java.io.File
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** Half of what it received, as the delta; [meanwhile] is what happens while it learns. */
private class Halving(private val meanwhile: () -> Unit = {}) : Learner {
    override fun numExamples() = 5

    override fun train(key: String, material: Material, plan: Plan, stop: StopSignal): Learned {
        meanwhile()
        val received = OneTensor.decode(material.checkpoint)
        return Learned(FloatArray(received.size) { received[it] / 2 }, numExamples(), loss = 0.5)
    }

    override fun evaluate(key: String, material: Material, plan: Plan, stop: StopSignal) =
        Measured(numExamples(), mapOf("loss" to 0.5))
}

private object Float32Encoder : DeltaEncoder {
    override val offered = listOf("float32")

    override fun encode(codec: String, manifest: ByteArray, delta: FloatArray) = OneTensor.encode(delta)
}

/** The client against the real server, over sockets. */
class LiveServerTest {
    @TempDir
    lateinit var folder: File
    private lateinit var server: LiveServer

    @BeforeEach
    fun start() {
        val python = System.getProperty("pocketfed.python") ?: System.getenv("POCKETFED_PYTHON")
        assumeTrue(python != null, "POCKETFED_PYTHON names no Python that has pocketfed; set it to run this test")
        server = LiveServer(python!!, File(folder, "server"))
        server.createTask(rounds = 3)
    }

    @AfterEach
    fun close() {
        if (::server.isInitialized) server.close()
    }

    private fun phone(learner: Learner = Halving(), observe: (Event) -> Unit = {}): FederatedClient {
        val retry = RetryPolicy(firstWaitS = 1.0, noAnswerS = 0.0)
        val config = ClientConfig(server.url, "phones", "1.0", retry = retry)
        return FederatedClient(config, File(folder, "phone"), learner, Float32Encoder, Surroundings(observe = observe))
    }

    @Test
    fun `one phone makes three rounds, each on the weights of the last`() {
        phone().use { phone ->
            for (round in 1..3) {
                assertEquals(SessionOutcome.ACCEPTED, phone.participate { false }.outcome)
                server.weights(versions = round)
            }
        }
        assertEquals(List(OneTensor.ELEMENTS) { 1.5f * 1.5f * 1.5f }, server.weights(versions = 3))
    }

    @Test
    fun `a server that is killed while the phone learns gets the update after its restart`() {
        val restarting = Halving {
            server.kill()
            server.start()
        }
        phone(restarting).use { assertEquals(SessionOutcome.ACCEPTED, it.participate { false }.outcome) }
        assertEquals(List(OneTensor.ELEMENTS) { 1.5f }, server.weights(versions = 1))
    }

    @Test
    fun `a phone that dies at every mark delivers one update`() {
        val passed = mutableSetOf<Mark>()
        val dying = { event: Event -> if (passed.add(event.mark)) throw Error("killed after ${event.mark}") }
        repeat(LAST) { assertThrows(Error::class.java) { phone(observe = dying).use { it.participate { false } } } }
        assertEquals(List(OneTensor.ELEMENTS) { 1.5f }, server.weights(versions = 1))
        assertEquals(1, server.accepted())
    }

    private companion object {
        // Enrolled, assigned, downloaded, learned, kept, and on the way on: resumed, reported, uploaded.
        const val LAST = 8
    }
}
