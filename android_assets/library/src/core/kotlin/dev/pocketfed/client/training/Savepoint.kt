package dev.pocketfed.client.training

import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest

/** How far a local training has come: [steps] taken, the [lossSum] of the pass under way, and the weights. */
internal class Progress(val steps: Int, val lossSum: Double, val weights: FloatArray)

/**
 * The one file in which a trainer keeps its progress: a digest of the work it belongs to, the steps (i32),
 * the sum of losses (f64), the weights (f32), little-endian, and the SHA-256 of all this. It is replaced by
 * renaming, so a process that dies at any moment leaves the old one or the new one.
 */
internal class Savepoint(private val file: File) {
    /** The progress of [work], a SHA-256, over [size] weights; null when none is kept, or a damaged one. */
    fun read(work: ByteArray, size: Int): Progress? {
        if (file.length() != lengthOf(size).toLong()) return null
        val bytes = try {
            file.readBytes()
        } catch (_: IOException) {
            return null
        }
        val body = ByteBuffer.wrap(bytes, 0, bytes.size - DIGEST_BYTES).slice().order(ByteOrder.LITTLE_ENDIAN)
        val isSound = sha256(body).contentEquals(bytes.copyOfRange(bytes.size - DIGEST_BYTES, bytes.size))
        if (!isSound || !ByteArray(DIGEST_BYTES).also { body.get(it) }.contentEquals(work)) return null
        return Progress(body.getInt(), body.getDouble(), FloatArray(size).also { body.asFloatBuffer().get(it) })
    }

    /**
     * Keeps [progress] instead of any other. Where there is no room for it the other is kept, and training
     * is none the worse: after a death it goes on from there.
     */
    fun write(work: ByteArray, progress: Progress) {
        val bytes = ByteBuffer.allocate(lengthOf(progress.weights.size)).order(ByteOrder.LITTLE_ENDIAN)
        bytes.put(work).putInt(progress.steps).putDouble(progress.lossSum)
        bytes.asFloatBuffer().put(progress.weights)
        val digest = sha256(ByteBuffer.wrap(bytes.array(), 0, bytes.capacity() - DIGEST_BYTES))
        digest.copyInto(bytes.array(), bytes.capacity() - DIGEST_BYTES)
        replace(bytes.array())
    }

    fun clear() {
        file.delete()
    }

    private fun replace(bytes: ByteArray) {
        val temporary = File(file.path + ".new")
        try {
            FileOutputStream(temporary).use {
                it.write(bytes)
                it.fd.sync()
            }
        } catch (_: IOException) {
            temporary.delete()
            return
        }
        temporary.renameTo(file)
    }

    private companion object {
        const val DIGEST_BYTES = 32

        fun lengthOf(size: Int) = 2 * DIGEST_BYTES + Int.SIZE_BYTES + Double.SIZE_BYTES + size * Float.SIZE_BYTES

        fun sha256(body: ByteBuffer): ByteArray =
            MessageDigest.getInstance("SHA-256").apply { update(body.duplicate()) }.digest()
    }
}
