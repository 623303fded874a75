package dev.pocketfed.client.participation

import java.io.File
import kotlin.random.Random
import okio.ByteString.Companion.decodeBase64
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.io.TempDir

/** Conversations with the real server, recorded: the client must ask what is on the tape. */
class ConversationTest {
    @TempDir
    lateinit var folder: File

    @TestFactory
    fun `the client asks what the protocol says, request by request`(): List<DynamicTest> =
        File(GOLDEN, "conversations").listFiles { file -> file.extension == "json" }!!.sorted().map { file ->
            dynamicTest(file.nameWithoutExtension) { replay(Conversation.read(file), File(folder, file.name)) }
        }

    private fun replay(conversation: Conversation, home: File) = Replay(conversation).use { replay ->
        val clock = FakeClock()
        val config = ClientConfig(replay.url, "phones", "1", shelfBytes = 100_000)
        val around = Surroundings(attestor = SigningNothing, clock = clock, random = Random(1))
        val learner = FixedLearner(accuracy = 0.75)
        FederatedClient(config, home, learner, recorded(conversation), around).use { client ->
            val outcomes = conversation.sessions.map {
                clock.wait(client.nextDueS)
                client.participate(GO_ON).outcome.name.lowercase()
            }
            assertEquals(emptyList<String>(), replay.differences)
            assertEquals(conversation.sessions.map { it.outcome }, outcomes)
            assertEquals(0, replay.left)
        }
    }

    private fun recorded(conversation: Conversation) = object : DeltaEncoder {
        override val offered = listOf("float32")

        override fun encode(codec: String, manifest: ByteArray, delta: FloatArray): ByteArray =
            conversation.update.decodeBase64()!!.toByteArray()
    }
}

/** A service whose token is the nonce it was given. */
private object SigningNothing : Attestor {
    override val kind = "play_integrity"

    override fun attest(challenge: String) = Attestor.nonce(challenge)
}
