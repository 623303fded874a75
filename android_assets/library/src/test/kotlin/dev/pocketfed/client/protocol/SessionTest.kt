package dev.pocketfed.client.protocol

import dev.pocketfed.client.Damaged
import dev.pocketfed.client.NoAnswer
import dev.pocketfed.client.Refused
import dev.pocketfed.client.wire.Digest
import java.io.File
import mockwebserver3.MockResponse
import mockwebserver3.MockWebServer
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val BODY = "some bytes of a model"

class SessionTest {
    @TempDir
    lateinit var folder: File
    private val server = MockWebServer()
    private val store = MockWebServer()
    private lateinit var client: DeviceClient
    private val resource = Resource("/v1/blobs/x", Digest.sha256(BODY.encodeToByteArray()), BODY.length.toLong())
    private val file get() = File(folder, "part")

    @BeforeEach
    fun start() {
        server.start()
        store.start()
        client = DeviceClient(Session(server.url("/fl").toString()), Device("me", "secret"))
    }

    @AfterEach
    fun close() {
        server.close()
        store.close()
    }

    private fun answer(status: Int, vararg headers: Pair<String, String>, body: String = "") =
        MockResponse.Builder().code(status).apply { headers.forEach { addHeader(it.first, it.second) } }.body(body).build()

    @Test
    fun `a server below a path is asked below it`() {
        server.enqueue(answer(204))
        client.abort("a/b")
        assertEquals("/fl/v1/assignments/a%2Fb", server.takeRequest().target)
    }

    @Test
    fun `a redirect to another host goes without the token and with the range`() {
        file.writeText(BODY.take(4))
        server.enqueue(answer(307, "Location" to store.url("/there?signed=1").toString()))
        store.enqueue(answer(206, "Content-Range" to "bytes 4-20/21", body = BODY.drop(4)))
        client.download(resource, file)
        assertEquals("Bearer secret", server.takeRequest().headers["Authorization"])
        val asked = store.takeRequest()
        assertEquals(listOf(null, null, "bytes=4-"), listOf("Authorization", "If-Range", "Range").map { asked.headers[it] })
        assertEquals(BODY, file.readText())
    }

    @Test
    fun `an answer with everything replaces what was there before`() {
        file.writeText("wrong")
        server.enqueue(answer(200, body = BODY))
        client.download(resource, file)
        assertEquals(BODY, file.readText())
    }

    @Test
    fun `a range that nobody can serve is asked for anew and whole`() {
        file.writeText("wrong")
        server.enqueue(answer(416))
        server.enqueue(answer(200, body = BODY))
        client.download(resource, file)
        assertNull(server.run { takeRequest(); takeRequest() }.headers["Range"])
    }

    @Test
    fun `bytes of another digest leave no file`() {
        server.enqueue(answer(200, body = BODY.uppercase()))
        assertEquals("digest_mismatch", assertThrows(Damaged::class.java) { client.download(resource, file) }.code)
        assertFalse(file.exists())
    }

    @Test
    fun `a body longer than promised is not read to its end`() {
        server.enqueue(answer(200, body = BODY.repeat(100_000)))
        assertThrows(Damaged::class.java) { client.download(resource, file) }
        assertFalse(file.exists())
    }

    @Test
    fun `a message is sent once even where the server says to repeat it at once`() {
        server.enqueue(answer(503, "Retry-After" to "0"))
        server.enqueue(answer(204))
        assertEquals(0.0, assertThrows(Refused::class.java) { client.report("a", Report(Outcome.FAILED)) }.retryAfterS)
        assertEquals(1, server.requestCount)
    }

    @Test
    fun `a message is not sent on to where a redirect points`() {
        server.enqueue(answer(307, "Location" to store.url("/").toString()))
        assertThrows(NoAnswer::class.java) { client.report("a", Report(Outcome.FAILED)) }
        assertEquals(0, store.requestCount)
    }

    @Test
    fun `a redirect that leads in a circle ends`() {
        repeat(9) { server.enqueue(answer(307, "Location" to "/fl/v1/blobs/x")) }
        assertThrows(NoAnswer::class.java) { client.download(resource, file) }
    }

    @Test
    fun `another host gets the headers of the instruction and nothing of the device's`() {
        val body = file.apply { writeText(BODY) }
        store.enqueue(answer(200))
        server.enqueue(answer(201, body = """{"assignment_id":"a","sha256":"x","bytes":21,"of_later":1}"""))
        val headers = mapOf("x-signed" to "yes")
        client.upload(UploadInstruction(store.url("/put").toString(), "PUT", headers, 9.0, "/v1/c"), body, "00")
        val put = store.takeRequest()
        assertEquals(listOf("yes", null, null, null), listOf("x-signed", "Authorization", "Content-Digest", "Content-Type").map { put.headers[it] })
        assertEquals("POST /fl/v1/c Bearer secret", server.takeRequest().let { "${it.method} ${it.target} ${it.headers["Authorization"]}" })
    }

    @Test
    fun `a right to one upload goes in the place of the token`() {
        val body = file.apply { writeText(BODY) }
        server.enqueue(answer(201, body = """{"assignment_id":"a","sha256":"x","bytes":21}"""))
        client.upload(UploadInstruction("/u", "PUT", mapOf("authorization" to "Bearer once"), 9.0), body, "00")
        assertEquals(listOf("Bearer once"), server.takeRequest().headers.values("Authorization"))
    }

    @Test
    fun `a store's refusal is told by its status`() {
        val body = file.apply { writeText(BODY) }
        val instruction = UploadInstruction(store.url("/put").toString(), uploadWithinS = 9.0, commitUrl = "/c")
        val codes = listOf(403, 408, 500).map { status ->
            store.enqueue(answer(status, body = "<Error/>"))
            assertThrows(Refused::class.java) { client.upload(instruction, body, "00") }.code
        }
        assertEquals(listOf("protocol_error", "unavailable", "unavailable"), codes)
    }

    @Test
    fun `a problem document says what to have signed and how long to wait`() {
        val body = """{"code":"attestation_needed","detail":"sign","challenge":"c","retry_after_s":3.5,"later":[]}"""
        server.enqueue(answer(401, "Content-Type" to "application/problem+json", body = body))
        val refused = assertThrows(Refused::class.java) { client.fate("a") }
        assertEquals(listOf("attestation_needed", 401, "c", 3.5), refused.run { listOf(code, status, challenge, retryAfterS) })
    }

    @Test
    fun `an address that nobody can ask is no answer`() {
        assertThrows(NoAnswer::class.java) { client.upload(UploadInstruction("ftp://x/", uploadWithinS = 1.0), file, "00") }
    }
}
