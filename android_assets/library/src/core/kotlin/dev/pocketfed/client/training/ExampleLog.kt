package dev.pocketfed.client.training

import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.CRC32

/**
 * Examples in one file, the newest [maxExamples] of them; older ones go first.
 *
 * The file is a row of records: the length of a body (i32), its CRC-32 (i32), the body, all little-endian.
 * A process that is killed in the middle of an append leaves a record without its end, which is cut off
 * when the file is opened next. Old records are dropped by writing a new file and renaming it, once they
 * are as many as those that count. One object per file at a time; any thread may call it.
 */
public class ExampleLog(private val file: File, private val maxExamples: Int) : ExampleSource {
    private val ends = ArrayList<Long>()

    init {
        require(maxExamples >= 1) { "got maxExamples $maxExamples, expected at least 1; keep some" }
        if (file.exists()) RandomAccessFile(file, "rw").use { ends += sound(it); it.setLength(end()) }
    }

    /** How many examples there are. */
    public val count: Int
        @Synchronized get() = minOf(ends.size, maxExamples)

    /** Adds an example. Throws IOException; nothing is added then. */
    @Synchronized
    public fun append(example: Example) {
        if (ends.size >= 2L * maxExamples) compact()
        val record = framed(ExampleRecord.encode(example))
        RandomAccessFile(file, "rw").use {
            // Whatever an append that failed left behind.
            it.setLength(end())
            it.seek(end())
            it.write(record)
        }
        ends += end() + record.size
    }

    /** Forgets all examples. Throws IOException. */
    @Synchronized
    public fun clear() {
        if (file.exists() && !file.delete()) throw IOException("cannot delete $file; try again")
        ends.clear()
    }

    /** The examples there are now; what is appended later is not among them. */
    @Synchronized
    override fun open(): ExampleStore {
        val first = ends.size - count
        val begin = if (first == 0) 0L else ends[first - 1]
        return Excerpt(if (count == 0) null else RandomAccessFile(file, "r"), begin, count)
    }

    private fun end(): Long = ends.lastOrNull() ?: 0L

    private fun compact() {
        val temporary = File(file.path + ".new")
        val begin = ends[ends.size - maxExamples - 1]
        FileOutputStream(temporary).use { sink ->
            RandomAccessFile(file, "r").use { it.channel.transferTo(begin, end() - begin, sink.channel) }
            sink.fd.sync()
        }
        val isWhole = temporary.length() == end() - begin
        if (!isWhole || !temporary.renameTo(file)) throw IOException("cannot replace $file; make room")
        val kept = ends.takeLast(maxExamples).map { it - begin }
        ends.clear()
        ends += kept
    }
}

private const val PREFIX_BYTES = 2 * Int.SIZE_BYTES

/** [count] records of a file from [begin] on; no file where there is none. */
private class Excerpt(
    private val file: RandomAccessFile?,
    private val begin: Long,
    override val count: Int,
) : ExampleStore {
    override fun examples(): Iterator<Example> {
        file?.seek(begin)
        return generateSequence { file?.let(::nextBody) }.take(count).map(ExampleRecord::decode).iterator()
    }

    override fun close() {
        file?.close()
    }
}

private fun framed(body: ByteArray): ByteArray =
    ByteBuffer.allocate(PREFIX_BYTES + body.size).order(ByteOrder.LITTLE_ENDIAN)
        .putInt(body.size).putInt(checksum(body)).put(body).array()

/** Where the sound records of a file end. */
private fun sound(file: RandomAccessFile): List<Long> =
    generateSequence { nextBody(file)?.let { file.filePointer } }.toList()

/** The body of the next record; null when there is none, or not all of it. */
private fun nextBody(file: RandomAccessFile): ByteArray? {
    if (file.length() - file.filePointer < PREFIX_BYTES) return null
    val prefix = ByteArray(PREFIX_BYTES).also(file::readFully)
    val numbers = ByteBuffer.wrap(prefix).order(ByteOrder.LITTLE_ENDIAN)
    val length = numbers.getInt()
    if (length < 0 || length > file.length() - file.filePointer) return null
    val body = ByteArray(length).also(file::readFully)
    return body.takeIf { checksum(it) == numbers.getInt() }
}

private fun checksum(body: ByteArray): Int = CRC32().apply { update(body) }.value.toInt()
