package dev.pocketfed.client.wire

import java.nio.ByteBuffer

private const val SCALES = "__scales__"

/**
 * Small integers and one scale per tensor; zero stays zero (Alistarh et al. 2017, QSGD, section 3).
 * Integers lie between -[largest] and [largest], each tensor's packed by [packing].
 */
internal class Integers private constructor(
    override val name: String,
    private val largest: Int,
    private val packing: Packing,
) : Contained() {
    override val leavesOut = false

    override fun container(spec: WeightSpec): Container {
        val scales = Field(SCALES, Kind.F32, listOf(spec.entries.size))
        return Container(listOf(scales) + spec.entries.map(packing::field))
    }

    override fun write(delta: FloatArray, spec: WeightSpec, rounding: Rounding, data: ByteBuffer) {
        val scales = FloatArray(spec.entries.size) { scaleOf(delta, spec.entries[it]) }
        for (scale in scales) data.putFloat(scale)
        spec.entries.zip(scales.asList()) { entry, scale ->
            packing.write(quantised(delta, entry, scale, rounding), data)
        }
    }

    override fun read(data: ByteBuffer, spec: WeightSpec): FloatArray {
        val scales = FloatArray(spec.entries.size) { data.getFloat() }
        val vector = FloatArray(spec.size)
        for (entry in spec.entries) packing.read(data, entry, vector)
        requireScales(scales, spec)
        spec.entries.zip(scales.asList()) { entry, scale -> multiply(vector, entry, scale) }
        return vector
    }

    /** The largest magnitude of a tensor over [largest]; 0 where a phone's division might round to zero. */
    private fun scaleOf(delta: FloatArray, entry: WeightEntry): Float {
        var peak = 0f
        for (place in entry.places()) peak = maxOf(peak, Math.abs(delta[place]))
        val scale = peak / largest
        return if (scale < java.lang.Float.MIN_NORMAL) 0f else scale
    }

    private fun quantised(delta: FloatArray, entry: WeightEntry, scale: Float, rounding: Rounding): ByteArray {
        val integers = ByteArray(entry.size)
        if (scale == 0f) return integers
        for (place in integers.indices) {
            val ratio = delta[entry.offset + place].toDouble() / scale + rounding.next()
            integers[place] = Math.floor(ratio).toInt().coerceIn(-largest, largest).toByte()
        }
        return integers
    }

    companion object {
        /** A signed byte per element, -127 to 127. */
        val int8 = Integers("int8", 127, Bytes)

        /** Four bits per element, -7 to 7; every tensor starts a byte. */
        val int4 = Integers("int4", 7, Pairs)
    }
}

private fun WeightEntry.places(): IntRange = offset until offset + size

private fun multiply(vector: FloatArray, entry: WeightEntry, scale: Float) {
    for (place in entry.places()) vector[place] *= scale
}

private fun requireScales(scales: FloatArray, spec: WeightSpec) {
    val place = scales.indices.firstOrNull { !scales[it].isFinite() || scales[it].toRawBits() < 0 } ?: return
    val name = quoted(spec.entries[place].name)
    throw invalidEncoding(
        "the scale of $name is ${scales[place]}, expected a finite one of at least 0; encode the delta again",
    )
}

/** How the integers of one tensor become bytes. */
private interface Packing {
    fun field(entry: WeightEntry): Field

    fun write(integers: ByteArray, data: ByteBuffer)

    /** Reads a tensor's integers into its places of [vector]; throws Damaged (`invalid_encoding`). */
    fun read(data: ByteBuffer, entry: WeightEntry, vector: FloatArray)
}

private object Bytes : Packing {
    override fun field(entry: WeightEntry) = Field(entry.name, Kind.I8, entry.shape)

    override fun write(integers: ByteArray, data: ByteBuffer) {
        data.put(integers)
    }

    override fun read(data: ByteBuffer, entry: WeightEntry, vector: FloatArray) {
        for (place in entry.places()) {
            val integer = data.get()
            if (integer == Byte.MIN_VALUE) {
                throw invalidEncoding("int8 goes from -127 to 127, got -128; encode the delta again")
            }
            vector[place] = integer.toFloat()
        }
    }
}

/** Two's complement of four bits: element 2i in the low half of byte i, element 2i + 1 in its high half. */
private object Pairs : Packing {
    override fun field(entry: WeightEntry) = Field(entry.name, Kind.U8, listOf((entry.size + 1) / 2))

    override fun write(integers: ByteArray, data: ByteBuffer) {
        for (first in integers.indices step 2) {
            val second = if (first + 1 < integers.size) integers[first + 1].toInt() else 0
            data.put((integers[first].toInt() and 0x0F or (second shl 4)).toByte())
        }
    }

    override fun read(data: ByteBuffer, entry: WeightEntry, vector: FloatArray) {
        for (first in entry.places() step 2) {
            val pair = data.get().toInt()
            vector[first] = signed(pair).toFloat()
            when {
                first + 1 < entry.offset + entry.size -> vector[first + 1] = signed(pair shr 4).toFloat()
                pair and 0xF0 != 0 ->
                    throw invalidEncoding("${quoted(entry.name)} ends in a half byte that is not 0; clear it")
            }
        }
    }

    private fun signed(half: Int): Int {
        val integer = (half and 0x0F xor 8) - 8
        if (integer == -8) throw invalidEncoding("int4 goes from -7 to 7, got -8; encode the delta again")
        return integer
    }
}
