package dev.pocketfed.client.wire

import java.nio.ByteBuffer

/** The delta as it is, byte for byte like a checkpoint. */
internal object Float32 : Contained() {
    override val name = "float32"
    override val leavesOut = false

    override fun container(spec: WeightSpec) = tensors(spec, Kind.F32)

    override fun write(delta: FloatArray, spec: WeightSpec, rounding: Rounding, data: ByteBuffer) {
        data.asFloatBuffer().put(delta)
    }

    override fun read(data: ByteBuffer, spec: WeightSpec): FloatArray =
        FloatArray(spec.size).also { data.asFloatBuffer().get(it) }
}

/** Halves, rounded to nearest even whatever the rounding; what is too large becomes the largest half. */
internal object Float16 : Contained() {
    override val name = "float16"
    override val leavesOut = false

    override fun container(spec: WeightSpec) = tensors(spec, Kind.F16)

    override fun write(delta: FloatArray, spec: WeightSpec, rounding: Rounding, data: ByteBuffer) {
        val halves = data.asShortBuffer()
        for (element in delta) halves.put(Half.of(element))
    }

    override fun read(data: ByteBuffer, spec: WeightSpec): FloatArray {
        val halves = data.asShortBuffer()
        return FloatArray(spec.size) { Half.toFloat(halves.get(it)) }
    }
}

private fun tensors(spec: WeightSpec, kind: Kind) = Container(spec.entries.map { Field(it.name, kind, it.shape) })
