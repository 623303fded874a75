package dev.pocketfed.client.wire

import java.nio.ByteBuffer

/** A codec whose bodies are one container each, of a length that the layout of the weights fixes. */
internal abstract class Contained : Codec {
    final override fun maxBytes(spec: WeightSpec): Int = container(spec).bodyBytes

    final override fun encode(delta: FloatArray, spec: WeightSpec, rounding: Rounding): ByteArray {
        spec.requireLength(delta)
        requireFinite(delta)
        val (body, data) = container(spec).newBody()
        write(delta, spec, rounding, data)
        return body
    }

    final override fun decode(body: ByteArray, spec: WeightSpec): FloatArray =
        read(container(spec).payload(body), spec).also(::requireFinite)

    /** The container of every body for this layout. */
    protected abstract fun container(spec: WeightSpec): Container

    /** Fills [data], that of a new body, with a [delta] of finite elements. */
    protected abstract fun write(delta: FloatArray, spec: WeightSpec, rounding: Rounding, data: ByteBuffer)

    /** The vector that the [data] of a body stands for; throws Damaged (`invalid_encoding`). */
    protected abstract fun read(data: ByteBuffer, spec: WeightSpec): FloatArray
}
