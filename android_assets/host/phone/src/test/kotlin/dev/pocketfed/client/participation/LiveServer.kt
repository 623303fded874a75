package dev.pocketfed.client.participation

import dev.pocketfed.client.wire.Codec
import dev.pocketfed.client.wire.Digest
import dev.pocketfed.client.wire.Rounding
import dev.pocketfed.client.wire.WeightEntry
import dev.pocketfed.client.wire.WeightSpec
import java.io.File
import java.net.ServerSocket
import java.util.concurrent.TimeUnit
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody.Companion.toRequestBody

private const val PATIENCE_S = 60L

/** One tensor of some elements, and its bodies. */
internal object OneTensor {
    const val ELEMENTS = 4
    private val spec = WeightSpec(listOf(WeightEntry("w", listOf(ELEMENTS), offset = 0)))
    private val codec = Codec.named("float32")

    fun encode(vector: FloatArray): ByteArray = codec.encode(vector, spec, Rounding.NEAREST)

    fun decode(body: ByteArray): List<Float> = codec.decode(body, spec).toList()
}

/** The real server in a process of its own on [folder]; [python] has pocketfed installed. */
internal class LiveServer(private val python: String, private val folder: File) : AutoCloseable {
    private val port = ServerSocket(0).use { it.localPort }
    private val http = OkHttpClient()
    private lateinit var process: Process
    val url = "http://127.0.0.1:$port"

    init {
        start()
    }

    /** Starts it, again if it was killed, on the same data and the same port. */
    fun start() {
        val flags = listOf("--port=$port", "--tick_s=0.1", "--data_dir=$folder", "--min_free_bytes=0")
        process = ProcessBuilder(listOf(python, "-m", "pocketfed.cli", "serve") + flags)
            .redirectError(ProcessBuilder.Redirect.DISCARD).start()
        val line = process.inputStream.bufferedReader().readLine()
        check(line == "pocketfed server at $url") { "got $line from the server, expected its address; run it by hand" }
    }

    fun kill() {
        process.destroyForcibly().waitFor(PATIENCE_S, TimeUnit.SECONDS)
    }

    /** Opens a task of [rounds] rounds, each of one update, that begins with ones. */
    fun createTask(rounds: Int) {
        val bodies = listOf("a model", "a manifest").map { it.encodeToByteArray() } +
            OneTensor.encode(FloatArray(OneTensor.ELEMENTS) { 1f })
        val (model, manifest, checkpoint) = bodies.map { body ->
            Digest.sha256(body).also { ask("PUT", "/v1/admin/blobs/$it", body) }
        }
        val task = """{"name":"task","population":"phones",
            "settings":{"goal":1,"over_selection":1.0,"rounds":$rounds,"retry":{"min_s":0.0,"max_s":0.0}},
            "spec":[{"name":"w","shape":[${OneTensor.ELEMENTS}],"offset":0}],
            "model_sha256":"$model","manifest_sha256":"$manifest","checkpoint_sha256":"$checkpoint"}"""
        ask("POST", "/v1/admin/tasks", task.encodeToByteArray())
    }

    /** The newest weights, once so many [versions] beyond the first are there. */
    fun weights(versions: Int): List<Float> {
        val deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S)
        while (true) {
            val checkpoints = json("/v1/admin/tasks/task").jsonObject.getValue("checkpoints").jsonArray
            if (checkpoints.size > versions) {
                val url = checkpoints.last().jsonObject.getValue("url").jsonPrimitive.content
                return OneTensor.decode(ask("GET", url, null))
            }
            check(System.nanoTime() < deadline) { "got ${checkpoints.size} checkpoints, expected ${versions + 1}" }
            Thread.sleep(50)
        }
    }

    /** Waits until somebody has made a task of this [name]. */
    fun awaitTask(name: String) {
        val deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S)
        while (json("/v1/admin/tasks").jsonObject.getValue("tasks").jsonArray.none { it.toString().contains("\"$name\"") }) {
            check(System.nanoTime() < deadline) { "there is no task $name after $PATIENCE_S s" }
            Thread.sleep(50)
        }
    }

    /** How many updates were accepted in all rounds together. */
    fun accepted(task: String = "task"): Int = json("/v1/admin/tasks/$task").jsonObject.getValue("rounds").jsonArray
        .sumOf { it.jsonObject["accepted"]?.jsonPrimitive?.content?.toInt() ?: 0 }

    private fun json(path: String): JsonElement = Json.parseToJsonElement(ask("GET", path, null).decodeToString())

    private fun ask(method: String, path: String, body: ByteArray?): ByteArray {
        val token = File(folder, "admin.token").readText().trim()
        val type = if (method == "PUT") "application/octet-stream" else "application/json"
        val request = Request.Builder().url(url + path).method(method, body?.toRequestBody())
            .header("Authorization", "Bearer $token").header("Content-Type", type).build()
        return http.newCall(request).execute().use { answer ->
            val said = answer.body.bytes()
            check(answer.isSuccessful) { "$method $path: got ${answer.code} ${said.decodeToString()}" }
            said
        }
    }

    override fun close(): Unit = kill()
}
