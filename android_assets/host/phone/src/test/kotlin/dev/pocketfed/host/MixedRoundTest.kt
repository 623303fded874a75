package dev.pocketfed.host

import dev.pocketfed.client.participation.ClientConfig
import dev.pocketfed.client.participation.FederatedClient
import dev.pocketfed.client.participation.LiveServer
import dev.pocketfed.client.participation.Participation
import dev.pocketfed.client.participation.SessionOutcome
import dev.pocketfed.client.participation.WireEncoder
import dev.pocketfed.client.training.Example
import dev.pocketfed.client.training.ExampleLog
import dev.pocketfed.client.training.Trainer
import dev.pocketfed.client.training.Values
import java.io.File
import java.util.Random
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import java.util.concurrent.TimeUnit
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val PHONES = 5
private const val PATIENCE_S = 240L

/** Phones of this library and of the simulator, in one round of one server. */
class MixedRoundTest {
    @TempDir
    lateinit var folder: File

    /** Images of noise, each phone with more of them than the one before. */
    private fun examples(phone: Int): ExampleLog {
        val random = Random(phone.toLong())
        val log = ExampleLog(File(folder, "examples$phone"), maxExamples = 100)
        repeat(10 * (phone + 1)) {
            val image = Values.Bytes(ByteArray(784).also(random::nextBytes))
            log.append(Example(mapOf("x" to image, "y" to Values.Ints(intArrayOf(random.nextInt(10))))))
        }
        return log
    }

    private fun phone(number: Int, server: LiveServer): FederatedClient {
        val state = File(folder, "phone$number")
        val learner = Trainer(examples(number), HostRuntime.OPENER, state)
        val config = ClientConfig(server.url, population = "mixed", clientVersion = "1.0")
        return FederatedClient(config, File(state, "client"), learner, WireEncoder())
    }

    /** Comes until its delta is taken. */
    private fun serve(number: Int, server: LiveServer): Participation = phone(number, server).use { phone ->
        generateSequence {
            Thread.sleep((phone.nextDueS * 1000).toLong())
            phone.participate { false }
        }.first { it.outcome == SessionOutcome.ACCEPTED }
    }

    @Test
    fun `five phones in Kotlin and five in Python make a round that an audit makes again`() {
        val artifact = Python.folderOf("mnist_2nn")
        val data = File(folder, "server")
        val flags = listOf(
            "--artifact=$artifact", "--population=mixed", "--dataset=handwriting", "--partition=natural", "--phones=$PHONES",
            "--goal=${2 * PHONES}", "--over_selection=1", "--minimum_fraction=1", "--rounds=1", "--retry_s=0,1",
            "--codecs=int8+zlib", "--drop_out=0", "--test_examples=100", "--out=${File(folder, "python")}",
        )
        val served = LiveServer(Python.path, data).use { server ->
            val token = File(data, "admin.token").readText().trim()
            val simulation = flags + listOf("--transport=http", "--server=${server.url}", "--admin_token=$token")
            val python = Python.start(listOf("-m", "pocketfed.cli", "simulate", "mixed") + simulation)
            server.awaitTask("mixed")
            val pool = Executors.newFixedThreadPool(PHONES)
            val phones = pool.invokeAll(List(PHONES) { Callable { serve(it, server) } }, PATIENCE_S, TimeUnit.SECONDS)
            python.end()
            assertEquals(2 * PHONES, server.accepted("mixed"))
            phones.map { it.get() }
        }
        assertEquals(List(PHONES) { 10 * (it + 1) }, served.map { it.numExamples })
        Python.start(listOf("-m", "pocketfed.cli", "audit", "--data_dir=$data")).end()
    }
}
