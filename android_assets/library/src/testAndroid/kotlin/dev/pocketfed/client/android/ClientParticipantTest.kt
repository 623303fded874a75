package dev.pocketfed.client.android

import dev.pocketfed.client.participation.ClientConfig
import dev.pocketfed.client.participation.Condition
import dev.pocketfed.client.participation.Conditions
import dev.pocketfed.client.participation.FederatedClient
import dev.pocketfed.client.participation.RetryPolicy
import dev.pocketfed.client.participation.Surroundings
import dev.pocketfed.client.participation.WireEncoder
import dev.pocketfed.client.training.ExampleLog
import dev.pocketfed.client.training.Trainer
import java.io.File
import java.net.ServerSocket
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
class ClientParticipantTest {
    @get:Rule
    val folder = TemporaryFolder()

    private fun client(conditions: Conditions): FederatedClient {
        val nobody = ServerSocket(0).use { "http://127.0.0.1:${it.localPort}" }
        val config = ClientConfig(nobody, "demo", "1", retry = RetryPolicy(tries = 1))
        val examples = ExampleLog(File(folder.root, "examples"), maxExamples = 10)
        val learner = Trainer(examples, LiteRtRuntime.opener(), File(folder.root, "state"))
        return FederatedClient(config, File(folder.root, "client"), learner, WireEncoder(), Surroundings(conditions))
    }

    @Test
    fun `a visit that could not begin is wanted again, but not at once`() {
        client(Conditions { setOf(Condition.CHARGING) }).use {
            assertEquals(900_000L, ClientParticipant(it).participate { false })
        }
    }

    @Test
    fun `a visit to a server that does not answer is wanted when the protocol says so`() {
        client(Conditions { emptySet() }).use {
            val nextMs = ClientParticipant(it).participate { false }!!
            assertTrue("$nextMs", nextMs in 700_000L..1_100_000L)
        }
    }
}
