package dev.pocketfed.client.protocol

import dev.pocketfed.client.Damaged
import dev.pocketfed.client.Refused
import dev.pocketfed.client.training.StopSignal
import dev.pocketfed.client.wire.Digest
import java.io.File
import java.io.FileOutputStream
import java.io.InterruptedIOException
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import okhttp3.Response

private const val PIECE_BYTES = 64 * 1024
private const val PARTIAL = 206
private const val RANGE_BEYOND_END = 416
private val OFFSET = Regex("^bytes (\\d+)-")

/** Fetches one resource into [file], which holds the first bytes of it if an earlier download broke off. */
internal class Download(private val session: Session, private val resource: Resource, private val file: File) {
    /** Throws Damaged when the bytes are not those promised, Refused, NoAnswer or Stopped. */
    fun run(token: String?, stop: StopSignal) {
        if (file.length() > resource.bytes) file.delete()
        if (!file.isFile || file.length() < resource.bytes) fetch(token, stop)
        if (mapped(file).let(Digest::sha256) == resource.sha256) return
        val got = file.length()
        file.delete()
        val sentence = "${resource.url}: got $got bytes of another digest, expected ${resource.bytes} of ${resource.sha256}"
        throw Damaged("digest_mismatch", sentence)
    }

    private fun fetch(token: String?, stop: StopSignal) {
        try {
            session.transfer(Outgoing("GET", resource.url, token, headers(), stop = stop)) { keep(it, stop) }
        } catch (error: Refused) {
            if (error.status != RANGE_BEYOND_END || file.length() == 0L) throw error
            file.delete()
            fetch(token, stop)
        }
    }

    /** Bytes as they are, from where the last download ended. */
    private fun headers(): Map<String, String> {
        val range = mapOf("Range" to "bytes=${file.length()}-", "If-Range" to "\"${resource.sha256}\"")
        return mapOf("Accept-Encoding" to "identity") + if (file.length() > 0) range else emptyMap()
    }

    private fun keep(answer: Response, stop: StopSignal) {
        val isContinued = answer.code == PARTIAL && offsetOf(answer) == file.length()
        if (answer.code == PARTIAL && !isContinued) {
            file.delete()
            throw InterruptedIOException("the range begins at ${offsetOf(answer)}, not where it was asked to")
        }
        FileOutputStream(file, isContinued).use { target ->
            copy(answer, target, room = resource.bytes - if (isContinued) file.length() else 0L, stop)
            target.fd.sync()
        }
    }

    private fun copy(answer: Response, target: FileOutputStream, room: Long, stop: StopSignal) {
        val piece = ByteArray(PIECE_BYTES)
        val source = answer.body.byteStream()
        var left = room
        while (true) {
            val count = source.read(piece)
            if (count == -1) break
            if (count > left) throw tooLong()
            target.write(piece, 0, count)
            left -= count
            if (stop.isRaised()) throw InterruptedIOException("told to stop")
        }
        if (left > 0) throw InterruptedIOException("$left bytes are missing")
    }

    private fun tooLong(): Damaged {
        file.delete()
        return Damaged("digest_mismatch", "${resource.url} is longer than the ${resource.bytes} bytes promised")
    }
}

private fun offsetOf(answer: Response): Long? =
    OFFSET.find(answer.header("Content-Range").orEmpty())?.groupValues?.get(1)?.toLongOrNull()

/** A whole file, read through the pages of the system. */
internal fun mapped(file: File): ByteBuffer =
    RandomAccessFile(file, "r").use { it.channel.map(FileChannel.MapMode.READ_ONLY, 0, file.length()) }
