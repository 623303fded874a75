package dev.pocketfed.client.protocol

import dev.pocketfed.client.NoAnswer
import dev.pocketfed.client.Stopped
import dev.pocketfed.client.training.StopSignal
import java.io.Closeable
import java.io.IOException
import java.util.concurrent.TimeUnit
import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerializationException
import okhttp3.Headers
import okhttp3.Headers.Companion.toHeaders
import okhttp3.HttpUrl
import okhttp3.HttpUrl.Companion.toHttpUrl
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody
import okhttp3.Response

private const val MAX_MESSAGE_BYTES = 1024L * 1024
private const val MAX_REDIRECTS = 5

/** How long to wait, in seconds: [silenceS] for the next byte, [messageS] for a whole message and its answer. */
public data class Timeouts(public val silenceS: Double = 30.0, public val messageS: Double = 120.0)

/** One request to be sent. [url] is relative to the server, or another host's; that never gets the [token]. */
internal class Outgoing(
    val method: String,
    val url: String,
    val token: String? = null,
    val headers: Map<String, String> = emptyMap(),
    val body: RequestBody? = null,
    val stop: StopSignal = StopSignal { false },
)

/**
 * Speaks HTTP to one server at the address [server], `https://host[:port][/path]`.
 *
 * Every request goes out once: nothing is repeated behind the caller's back. A GET follows redirects; those
 * to another origin go without the token. [http] brings the app's own proxies, pins and interceptors.
 */
public class Session(server: String, http: OkHttpClient = OkHttpClient(), timeouts: Timeouts = Timeouts()) : Closeable {
    private val base = server.toHttpUrl().toString().trimEnd('/')
    private val transfers = http.newBuilder().cache(null)
        .retryOnConnectionFailure(false).followRedirects(false).followSslRedirects(false)
        .connectTimeout(millis(timeouts.silenceS), TimeUnit.MILLISECONDS)
        .readTimeout(millis(timeouts.silenceS), TimeUnit.MILLISECONDS)
        .writeTimeout(millis(timeouts.silenceS), TimeUnit.MILLISECONDS)
        .build()
    private val messages = transfers.newBuilder().callTimeout(millis(timeouts.messageS), TimeUnit.MILLISECONDS).build()

    /** Ends every exchange under way at once, from any thread; whoever waits gets NoAnswer or Stopped. */
    public fun interrupt(): Unit = transfers.dispatcher.cancelAll()

    override fun close(): Unit = transfers.connectionPool.evictAll()

    /** The answer to a message, read as [kind]; throws Refused, NoAnswer or Stopped. */
    internal fun <T> message(outgoing: Outgoing, kind: (Int) -> KSerializer<out T>): T =
        exchange(outgoing, messages) { answer -> read(answer, kind(answer.code)) }

    /** Sends a message whose answer says nothing beyond its status. */
    internal fun tell(outgoing: Outgoing): Unit = exchange(outgoing, messages) { }

    /** Sends or fetches a long body; [read] gets the 2xx answer before its body has come. */
    internal fun <T> transfer(outgoing: Outgoing, read: (Response) -> T): T = exchange(outgoing, transfers, read)

    private fun <T> exchange(outgoing: Outgoing, client: OkHttpClient, read: (Response) -> T): T {
        if (outgoing.stop.isRaised()) throw Stopped("told to stop before ${outgoing.method} ${outgoing.url}")
        try {
            return followed(requestOf(outgoing), client).use { answer ->
                if (!answer.isSuccessful) throw errorOf(answer)
                read(answer)
            }
        } catch (error: IOException) {
            if (outgoing.stop.isRaised()) throw Stopped("told to stop in ${outgoing.method} ${outgoing.url}")
            throw NoAnswer("${outgoing.method} ${outgoing.url} got no whole answer: ${error.message}; try later", error)
        }
    }

    private fun requestOf(outgoing: Outgoing): Request = try {
        val headers = outgoing.headers.toHeaders().newBuilder()
        val isSigned = outgoing.headers.keys.any { it.equals("Authorization", ignoreCase = true) }
        if (outgoing.token != null && !isSigned && !isForeign(outgoing.url)) {
            headers["Authorization"] = "Bearer ${outgoing.token}"
        }
        Request.Builder().url(addressOf(outgoing.url)).headers(headers.build())
            .method(outgoing.method, outgoing.body).build()
    } catch (error: IllegalArgumentException) {
        throw NoAnswer("the server asks for a request that nobody can send: ${error.message}", error)
    }

    private fun addressOf(url: String): HttpUrl =
        if (isForeign(url)) url.toHttpUrl() else "$base/${url.trimStart('/')}".toHttpUrl()

    private fun followed(first: Request, client: OkHttpClient): Response {
        var request = first
        repeat(MAX_REDIRECTS) {
            val answer = client.newCall(request).execute()
            request = redirected(request, answer) ?: return answer
            answer.close()
        }
        throw NoAnswer("${first.url.redact()} was redirected $MAX_REDIRECTS times; it leads nowhere")
    }

    private fun errorOf(answer: Response) =
        errorOf(answer.code, answer.header("Content-Type").orEmpty(), answer.header("Retry-After"), textOf(answer))
}

/** Whether an address names its host itself, instead of being relative to the server. */
internal fun isForeign(url: String): Boolean = url.startsWith("//") || SCHEME.containsMatchIn(url)

private val SCHEME = Regex("^[A-Za-z][A-Za-z0-9+.-]*:")

private fun redirected(request: Request, answer: Response): Request? {
    if (request.method != "GET" || !answer.isRedirect) return null
    val target = answer.header("Location")?.let(request.url::resolve) ?: return null
    if (request.url.isHttps && !target.isHttps) return null
    return request.newBuilder().url(target).headers(headersFor(target, request)).build()
}

/** Another origin gets neither the token nor the validator, which only the server's own answers know. */
private fun headersFor(target: HttpUrl, request: Request): Headers {
    val from = request.url
    val isSame = target.scheme == from.scheme && target.host == from.host && target.port == from.port
    return if (isSame) request.headers
    else request.headers.newBuilder().removeAll("Authorization").removeAll("If-Range").build()
}

private fun <T> read(answer: Response, kind: KSerializer<out T>): T = try {
    LENIENT.decodeFromString(kind, textOf(answer))
} catch (error: SerializationException) {
    throw NoAnswer("${answer.request.url.redact()} was answered with no ${kind.descriptor.serialName}; try later", error)
}

private fun textOf(answer: Response): String {
    val source = answer.body.source()
    if (source.request(MAX_MESSAGE_BYTES + 1)) throw NoAnswer("an answer has over $MAX_MESSAGE_BYTES bytes; try later")
    return source.readUtf8()
}

private fun millis(seconds: Double): Long = (seconds * 1000).toLong()
