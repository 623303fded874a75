package dev.pocketfed.client.wire

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class HalfTest {
    private val finite = (0..0xFFFF).map { it.toShort() }.filter { Half.toFloat(it).isFinite() }

    @Test
    fun `every finite half comes back`() {
        for (half in finite) assertEquals(half, Half.of(Half.toFloat(half)))
    }

    @Test
    fun `between two halves the nearest is taken, in the middle the even one`() {
        val rising = finite.filter { it >= 0 }
        for ((low, high) in rising.zipWithNext()) {
            val middle = (Half.toFloat(low) + Half.toFloat(high)) / 2
            assertEquals(if (low.toInt() % 2 == 0) low else high, Half.of(middle))
            assertEquals(low, Half.of(Math.nextAfter(middle, 0.0)))
            assertEquals(high, Half.of(Math.nextAfter(middle, 1e9)))
        }
    }

    @Test
    fun `what is too large becomes the largest half`() {
        assertEquals(65504f, Half.toFloat(Half.of(Float.MAX_VALUE)))
        assertEquals(-65504f, Half.toFloat(Half.of(-65520f)))
    }

    @Test
    fun `zero keeps its sign`() {
        assertEquals(0x8000.toShort(), Half.of(-0f))
        assertEquals((-0f).toRawBits(), Half.toFloat(0x8000.toShort()).toRawBits())
    }
}
