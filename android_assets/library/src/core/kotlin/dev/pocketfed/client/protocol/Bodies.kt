package dev.pocketfed.client.protocol

import dev.pocketfed.client.training.StopSignal
import java.io.File
import java.io.InterruptedIOException
import okhttp3.MediaType
import okhttp3.RequestBody
import okio.BufferedSink
import okio.buffer
import okio.source

private const val PIECE_BYTES = 64L * 1024

/**
 * A body that is sent once: the protocol says when a request goes out again, not the HTTP library. Its
 * media type is among the headers.
 */
internal class BytesOnce(private val bytes: ByteArray) : RequestBody() {
    override fun contentType(): MediaType? = null
    override fun contentLength(): Long = bytes.size.toLong()
    override fun isOneShot(): Boolean = true
    override fun writeTo(sink: BufferedSink) {
        sink.write(bytes)
    }
}

/** A file as a body that is sent once, piece by piece until [stop] is raised. */
internal class FileOnce(private val file: File, private val stop: StopSignal) : RequestBody() {
    private val length = file.length()

    override fun contentType(): MediaType? = null
    override fun contentLength(): Long = length
    override fun isOneShot(): Boolean = true
    override fun writeTo(sink: BufferedSink) {
        file.source().buffer().use { source ->
            while (source.read(sink.buffer, PIECE_BYTES) != -1L) {
                sink.emitCompleteSegments()
                if (stop.isRaised()) throw InterruptedIOException("told to stop")
            }
        }
    }
}
