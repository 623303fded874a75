package dev.pocketfed.client.wire

import java.nio.ShortBuffer

/** The delta as it is, byte for byte like a checkpoint. */
internal object Float32 : Codec {
    override val name = "float32"
    override val leavesOut = false

    override fun maxBytes(spec: WeightSpec) = container(spec).bodyBytes

    override fun encode(delta: FloatArray, spec: WeightSpec, rounding: Rounding): ByteArray {
        spec.requireLength(delta)
        requireFinite(delta)
        val (body, data) = container(spec).newBody()
        data.asFloatBuffer().put(delta)
        return body
    }

    override fun decode(body: ByteArray, spec: WeightSpec): FloatArray {
        val data = container(spec).payload(body).asFloatBuffer()
        return FloatArray(spec.size).also { data.get(it) }.also(::requireFinite)
    }

    private fun container(spec: WeightSpec) = tensors(spec, Kind.F32)
}

/** Halves, rounded to nearest even whatever the rounding; what is too large becomes the largest half. */
internal object Float16 : Codec {
    override val name = "float16"
    override val leavesOut = false

    override fun maxBytes(spec: WeightSpec) = container(spec).bodyBytes

    override fun encode(delta: FloatArray, spec: WeightSpec, rounding: Rounding): ByteArray {
        spec.requireLength(delta)
        requireFinite(delta)
        val (body, data) = container(spec).newBody()
        val halves = data.asShortBuffer()
        for (element in delta) halves.put(Half.of(element))
        return body
    }

    override fun decode(body: ByteArray, spec: WeightSpec): FloatArray {
        val halves: ShortBuffer = container(spec).payload(body).asShortBuffer()
        return FloatArray(spec.size) { Half.toFloat(halves.get(it)) }.also(::requireFinite)
    }

    private fun container(spec: WeightSpec) = tensors(spec, Kind.F16)
}

private fun tensors(spec: WeightSpec, kind: Kind) = Container(spec.entries.map { Field(it.name, kind, it.shape) })
