package dev.pocketfed.client.participation

import java.io.File
import java.util.concurrent.CopyOnWriteArrayList
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import mockwebserver3.Dispatcher
import mockwebserver3.MockResponse
import mockwebserver3.MockWebServer
import mockwebserver3.RecordedRequest
import mockwebserver3.SocketEffect
import okio.Buffer
import okio.ByteString.Companion.decodeBase64

private const val STORE = "http://store"

// The headers of tests/golden/conversations/tape.py: what is not on the tape must not be sent.
private val ASKED = listOf(
    "Authorization", "Content-Type", "Content-Digest", "Range", "If-Range", "x-amz-checksum-sha256",
)

/** The folder of the golden files. */
val GOLDEN = File(System.getProperty("pocketfed.root"), "tests/golden")

@Serializable
class TapedAnswer(
    val status: Int,
    val headers: Map<String, String>,
    val json: JsonElement? = null,
    @SerialName("base64") val body: String = "",
    val fault: String = "",
)

@Serializable
class TapedExchange(
    val to: String,
    val method: String,
    val path: String,
    val headers: Map<String, String>,
    val json: JsonElement? = null,
    val sha256: String? = null,
    val bytes: Int? = null,
    val answer: TapedAnswer,
)

@Serializable
class TapedSession(val outcome: String, val exchanges: List<TapedExchange>)

@Serializable
class Conversation(val update: String, val sessions: List<TapedSession>) {
    companion object {
        fun read(file: File): Conversation = Json.decodeFromString(file.readText())
    }
}

/** Answers as a conversation has it, and notes where a request is not the one on the tape. */
class Replay(conversation: Conversation) : AutoCloseable {
    private val ahead = ArrayDeque(conversation.sessions.flatMap { it.exchanges })
    private val keys = mutableMapOf<String?, String?>()
    private val server = player("server")
    private val store = player("store")
    val differences = CopyOnWriteArrayList<String>()
    val url: String get() = server.url("/").toString()
    val left: Int get() = ahead.size

    private fun player(name: String): MockWebServer = MockWebServer().apply {
        dispatcher = object : Dispatcher() {
            override fun dispatch(request: RecordedRequest): MockResponse = next(name, request)
        }
        start()
    }

    @Synchronized
    private fun next(name: String, request: RecordedRequest): MockResponse {
        val expected = ahead.removeFirstOrNull()
        if (expected == null) {
            differences += "${request.method} ${request.target} comes after the end"
            return MockResponse.Builder().code(400).build()
        }
        compare(expected, name, request)
        return played(expected.answer)
    }

    private fun compare(expected: TapedExchange, name: String, request: RecordedRequest) {
        val asked = "$name ${request.method} ${request.target}"
        differ("request", "${expected.to} ${expected.method} ${expected.path}", asked)
        for (header in ASKED) differ("${expected.path}: $header", expected.headers[header], request.headers[header])
        val key = request.headers["Idempotency-Key"]
        val taped = expected.headers["Idempotency-Key"]
        differ("${expected.path}: the key of $taped", keys.getOrPut(taped) { key }, key)
        differ("${expected.path}: different keys", keys.size, keys.values.toSet().size)
        val body = request.body
        if (expected.json != null) differ(expected.path, expected.json, Json.parseToJsonElement(body!!.utf8()))
        if (expected.sha256 != null) differ(expected.path, expected.sha256, body!!.sha256().hex())
        if (expected.json == null && expected.sha256 == null) differ(expected.path, 0, body?.size ?: 0)
    }

    private fun differ(what: String, expected: Any?, got: Any?) {
        if (expected != got) differences += "$what: got $got, expected $expected"
    }

    private fun played(answer: TapedAnswer): MockResponse {
        val made = MockResponse.Builder().code(answer.status)
        answer.headers.forEach { (name, value) -> made.addHeader(name, placed(value)) }
        val text = answer.json?.let { placed(it.toString()).encodeToByteArray() }
        made.body(Buffer().write(text ?: answer.body.decodeBase64()!!.toByteArray()))
        if (answer.fault == "cut") made.onResponseBody(SocketEffect.CloseSocket())
        if (answer.fault == "lost") made.onResponseStart(SocketEffect.CloseSocket())
        return made.build()
    }

    private fun placed(text: String): String = text.replace(STORE, store.url("/").toString().trimEnd('/'))

    override fun close() {
        server.close()
        store.close()
    }
}
