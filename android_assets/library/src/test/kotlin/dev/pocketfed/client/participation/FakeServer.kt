package dev.pocketfed.client.participation

import dev.pocketfed.client.protocol.Assignment
import dev.pocketfed.client.protocol.Device
import dev.pocketfed.client.protocol.Fate
import dev.pocketfed.client.protocol.LENIENT
import dev.pocketfed.client.protocol.Receipt
import dev.pocketfed.client.protocol.Resource
import dev.pocketfed.client.protocol.RetryWindow
import dev.pocketfed.client.protocol.UploadInstruction
import dev.pocketfed.client.wire.Digest
import java.util.concurrent.CopyOnWriteArrayList
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import mockwebserver3.Dispatcher
import mockwebserver3.MockResponse
import mockwebserver3.MockWebServer
import mockwebserver3.RecordedRequest
import okio.Buffer
import okio.ByteString

const val MODEL = "a model of any size"
const val MANIFEST = """{"name":"tiny"}"""
const val CHECKPOINT = "weights to begin from"

/** A server with one round that never ends, over a real socket; [fault] may answer in its place. */
class FakeServer : AutoCloseable {
    private val http = MockWebServer()
    private val blobs = listOf(MODEL, MANIFEST, CHECKPOINT).associateBy { Digest.sha256(it.encodeToByteArray()) }
    private val bodies = mutableMapOf<String, ByteString>()
    private val announced = mutableMapOf<String, ByteString>()
    private var placesByDevice = mutableMapOf<String, String>()
    private val devicesByKey = mutableMapOf<String, Device>()

    /** Everything that was asked for, as `METHOD path`. */
    val seen = CopyOnWriteArrayList<RecordedRequest>()
    val lines: List<String> get() = seen.map { "${it.method} ${it.url.encodedPath}" }
    val uploads = CopyOnWriteArrayList<ByteString>()
    val devices: Int get() = devicesByKey.size
    val places: Int get() = placesByDevice.size

    @Volatile var fault: (RecordedRequest) -> MockResponse? = { null }

    @Volatile var plan = JsonObject(mapOf("epochs" to JsonPrimitive(1)))

    @Volatile var kind = "train"

    @Volatile var codec = "float32"

    @Volatile var retry = RetryWindow(600.0, 600.0)

    val url: String get() = http.url("/").toString()

    init {
        http.dispatcher = object : Dispatcher() {
            override fun dispatch(request: RecordedRequest): MockResponse {
                seen += request
                return fault(request) ?: answer(request)
            }
        }
        http.start()
    }

    /** Whether the server counts this device's work. */
    val accepted: Int get() = bodies.size

    @Synchronized
    fun answer(request: RecordedRequest): MockResponse {
        val path = request.url.pathSegments.drop(1)
        return when {
            path == listOf("devices") -> enrol(request)
            path[0] == "populations" -> checkIn(request)
            path[0] == "blobs" -> blob(path[1], request)
            path.size == 2 && request.method == "GET" -> json(fate(path[1]))
            path.size == 2 -> MockResponse.Builder().code(204).build()
            path[2] == "report" -> report(path[1], request)
            else -> take(path[1], request)
        }
    }

    private fun enrol(request: RecordedRequest): MockResponse {
        val key = request.headers["Idempotency-Key"]!!
        val device = devicesByKey.getOrPut(key) { Device("device-${devicesByKey.size}", "token-${devicesByKey.size}") }
        return json(device, 201)
    }

    private fun checkIn(request: RecordedRequest): MockResponse {
        val token = request.headers["Authorization"] ?: return problem(401, "unauthenticated")
        val id = placesByDevice.getOrPut(token) { "place-${placesByDevice.size}" }
        val (model, manifest, checkpoint) = blobs.entries.map { (sha256, body) ->
            Resource("/v1/blobs/$sha256", sha256, body.length.toLong())
        }
        val given = Assignment(id, "task", kind, 1, 1, checkpoint, model, manifest, plan, codec, 900.0, 900.0, retry)
        return json(given, 201)
    }

    private fun blob(sha256: String, request: RecordedRequest): MockResponse {
        val body = blobs.getValue(sha256)
        val from = request.headers["Range"]?.removePrefix("bytes=")?.removeSuffix("-")?.toInt() ?: 0
        val answer = MockResponse.Builder().code(if (from > 0) 206 else 200).addHeader("ETag", "\"$sha256\"")
        if (from > 0) answer.addHeader("Content-Range", "bytes $from-${body.length - 1}/${body.length}")
        return answer.body(body.drop(from)).build()
    }

    private fun fate(id: String): Fate =
        Fate(id, if (id in bodies) "uploaded" else if (id in announced) "reported" else "assigned", null, retry)

    private fun report(id: String, request: RecordedRequest): MockResponse {
        val said = request.body!!
        if ("\"outcome\":\"completed\"" !in said.utf8()) return json(Fate(id, "failed", null, retry))
        if ("\"sha256\"" !in said.utf8()) return json(Fate(id, "measured", null, retry)).also { bodies[id] = said }
        val before = announced.getOrPut(id) { said }
        if (before != said) return problem(409, "report_conflict")
        return json(UploadInstruction("/v1/assignments/$id/update", uploadWithinS = 900.0))
    }

    private fun take(id: String, request: RecordedRequest): MockResponse {
        val body = request.body!!
        val digest = Digest.sha256(body.toByteArray())
        if (request.headers["Content-Digest"] != Digest.contentDigest(digest)) return problem(400, "digest_mismatch")
        if (digest !in announced[id]!!.utf8()) return problem(409, "report_conflict")
        uploads += body
        val isNew = bodies.put(id, body) == null
        return json(Receipt(id, digest, body.size.toLong()), if (isNew) 201 else 200)
    }

    override fun close(): Unit = http.close()
}

internal inline fun <reified T> json(message: T, status: Int = 200): MockResponse =
    MockResponse.Builder().code(status).addHeader("Content-Type", "application/json")
        .body(LENIENT.encodeToString(message)).build()

fun problem(status: Int, code: String, retryAfterS: Double? = null, challenge: String? = null): MockResponse {
    val fields = listOfNotNull(
        "\"code\":\"$code\",\"title\":\"x\",\"status\":$status,\"detail\":\"$code\"",
        retryAfterS?.let { "\"retry_after_s\":$it" },
        challenge?.let { "\"challenge\":\"$it\"" },
    )
    val answer = MockResponse.Builder().code(status).addHeader("Content-Type", "application/problem+json")
    retryAfterS?.let { answer.addHeader("Retry-After", it.toInt()) }
    return answer.body(Buffer().writeUtf8(fields.joinToString(",", "{", "}"))).build()
}
