package dev.pocketfed.client.wire

import dev.pocketfed.client.Damaged
import java.io.ByteArrayOutputStream
import java.util.zip.DataFormatException
import java.util.zip.DeflaterOutputStream
import java.util.zip.Inflater

/** A codec of exact length whose bodies travel in one zlib stream each. */
internal class Framed(private val inner: Codec) : Codec {
    override val name = inner.name + Zlib.SUFFIX
    override val leavesOut = inner.leavesOut

    override fun maxBytes(spec: WeightSpec) = Zlib.longest(inner.maxBytes(spec))

    override fun encode(delta: FloatArray, spec: WeightSpec, rounding: Rounding) =
        Zlib.frame(inner.encode(delta, spec, rounding))

    override fun decode(body: ByteArray, spec: WeightSpec): FloatArray {
        val limit = maxBytes(spec)
        if (body.size > limit) {
            throw Damaged("payload_too_large", "got ${body.size} bytes, expected at most $limit; send one frame alone")
        }
        return inner.decode(Zlib.open(body, inner.maxBytes(spec)), spec)
    }
}

/** One zlib stream (RFC 1950) around a whole body. */
internal object Zlib {
    const val SUFFIX = "+zlib"

    /** The longest frame of so many bytes: the format adds less to what does not shrink. */
    fun longest(bytes: Int): Int = bytes + bytes / 128 + 1024

    fun frame(body: ByteArray): ByteArray {
        val sink = ByteArrayOutputStream()
        DeflaterOutputStream(sink).use { it.write(body) }
        return sink.toByteArray()
    }

    /**
     * The [length] bytes that [frame] must hold; it is opened no further, whatever it holds. Throws Damaged:
     * `payload_too_large` when it holds more, `invalid_encoding` when it is cut, damaged or followed by anything.
     */
    fun open(frame: ByteArray, length: Int): ByteArray {
        val inflater = Inflater()
        try {
            inflater.setInput(frame)
            val content = inflated(inflater, length)
            val trailing = inflater.remaining
            if (trailing > 0) throw invalidEncoding("$trailing bytes follow the zlib frame; send one frame alone")
            return content
        } catch (error: DataFormatException) {
            throw invalidEncoding("the body is no zlib frame (${error.message}); encode the delta again", error)
        } finally {
            inflater.end()
        }
    }

    private fun inflated(inflater: Inflater, length: Int): ByteArray {
        // One byte more, so that content that is too long shows.
        val content = ByteArray(length + 1)
        var filled = 0
        while (!inflater.finished()) {
            val read = inflater.inflate(content, filled, content.size - filled)
            filled += read
            if (filled > length) {
                throw Damaged("payload_too_large", "the frame holds more than $length bytes; encode the delta again")
            }
            if (read == 0 && !inflater.finished()) throw invalidEncoding(whyStuck(inflater))
        }
        if (filled < length) {
            throw invalidEncoding("the zlib frame holds $filled bytes, expected $length; encode the delta again")
        }
        return content.copyOf(length)
    }

    private fun whyStuck(inflater: Inflater): String =
        if (inflater.needsDictionary()) "the zlib frame wants a dictionary, expected none; encode the delta again"
        else "the zlib frame is cut short; fetch the whole body again"
}
