package dev.pocketfed.client.wire

import java.math.BigDecimal
import java.math.RoundingMode
import java.nio.ByteBuffer

/** The `ceil(fraction * size)` elements of largest magnitude with their places; the others count as zero. */
internal class TopK(fraction: String) : Contained() {
    override val name = "topk:$fraction"
    override val leavesOut = true

    // A decimal, since in binary floating point 0.07 * 100 would round up to 8.
    private val share = BigDecimal(fraction)

    override fun container(spec: WeightSpec): Container {
        val shape = listOf(keptOf(spec))
        return Container(listOf(Field("__indices__", Kind.U32, shape), Field("__values__", Kind.F32, shape)))
    }

    override fun write(delta: FloatArray, spec: WeightSpec, rounding: Rounding, data: ByteBuffer) {
        val places = largest(delta, keptOf(spec))
        for (place in places) data.putInt(place)
        for (place in places) data.putFloat(delta[place])
    }

    override fun read(data: ByteBuffer, spec: WeightSpec): FloatArray {
        val places = placesIn(data, keptOf(spec), spec.size)
        val vector = FloatArray(spec.size)
        for (place in places) vector[place] = data.getFloat()
        return vector
    }

    private fun keptOf(spec: WeightSpec): Int =
        share.multiply(BigDecimal(spec.size)).setScale(0, RoundingMode.CEILING).toInt()
}

/** The places of the [kept] largest magnitudes, in order; of equal ones the first. */
private fun largest(vector: FloatArray, kept: Int): IntArray {
    if (kept == 0) return IntArray(0)
    val sorted = FloatArray(vector.size) { Math.abs(vector[it]) }.apply { sort() }
    val threshold = sorted[sorted.size - kept]
    var level = kept - vector.count { Math.abs(it) > threshold }
    val places = IntArray(kept)
    var filled = 0
    for (place in vector.indices) {
        val magnitude = Math.abs(vector[place])
        if (magnitude > threshold || magnitude == threshold && level-- > 0) places[filled++] = place
    }
    return places
}

private fun placesIn(data: ByteBuffer, kept: Int, size: Int): IntArray {
    var before = -1L
    return IntArray(kept) {
        val place = data.getInt().toLong() and 0xFFFF_FFFFL
        if (place <= before) {
            throw invalidEncoding("index $place comes after $before, expected strictly increasing ones; sort them")
        }
        if (place >= size) {
            throw invalidEncoding("index $place is beyond the $size elements of this model; encode the delta again")
        }
        before = place
        place.toInt()
    }
}
