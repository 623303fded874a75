package dev.pocketfed.client.wire

/** binary16 of IEEE 754: a sign, five bits of exponent, ten of fraction. Phones have it from API 26 on only. */
internal object Half {
    private const val LARGEST = 65504f

    /** 2^-24, the distance of the halves below [SMALLEST_NORMAL]. */
    private const val SUBNORMAL_STEP = 1f / (1 shl 24)
    private const val SMALLEST_NORMAL = 1f / (1 shl 14)

    private const val FLOAT_FRACTION_BITS = 23
    private const val HALF_FRACTION_BITS = 10
    private const val DROPPED_BITS = FLOAT_FRACTION_BITS - HALF_FRACTION_BITS

    /** The difference of the two exponents' biases, 127 - 15. */
    private const val BIAS = 112
    private const val FULL_EXPONENT = 0x1F

    /** The half nearest to [value], a finite one, of two the even; at most 65504 in magnitude. */
    fun of(value: Float): Short {
        val sign = value.toRawBits() ushr 31 shl 15
        val magnitude = Math.abs(value).coerceAtMost(LARGEST)
        val half = if (magnitude < SMALLEST_NORMAL) subnormal(magnitude) else normal(magnitude)
        return (sign or half).toShort()
    }

    /** The value of [half], which a float holds exactly. */
    fun toFloat(half: Short): Float {
        val bits = half.toInt() and 0xFFFF
        val exponent = bits shr HALF_FRACTION_BITS and FULL_EXPONENT
        val fraction = bits and (1 shl HALF_FRACTION_BITS) - 1
        val magnitude = when (exponent) {
            0 -> fraction * SUBNORMAL_STEP
            FULL_EXPONENT -> if (fraction == 0) Float.POSITIVE_INFINITY else Float.NaN
            else -> Float.fromBits(exponent + BIAS shl FLOAT_FRACTION_BITS or (fraction shl DROPPED_BITS))
        }
        return if (bits shr 15 == 0) magnitude else -magnitude
    }

    // Multiplying by a power of two is exact, and rint is the even of two nearest.
    private fun subnormal(magnitude: Float): Int = Math.rint((magnitude / SUBNORMAL_STEP).toDouble()).toInt()

    private fun normal(magnitude: Float): Int {
        val bits = magnitude.toRawBits() - (BIAS shl FLOAT_FRACTION_BITS)
        val isOdd = bits shr DROPPED_BITS and 1
        return bits + (1 shl DROPPED_BITS - 1) - 1 + isOdd shr DROPPED_BITS
    }
}
