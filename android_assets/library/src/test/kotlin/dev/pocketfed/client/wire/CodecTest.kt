package dev.pocketfed.client.wire

import dev.pocketfed.client.Damaged
import dev.pocketfed.client.Unfit
import java.util.Random
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class CodecTest {
    private val spec = WeightSpec(
        listOf(
            WeightEntry("kernel", listOf(500, 3), 0),
            WeightEntry("none", listOf(0), 1500),
            WeightEntry("bias", listOf(7), 1500),
        ),
    )
    private val delta = Random(3).let { random -> FloatArray(spec.size) { random.nextFloat() - 0.5f } }

    @Test
    fun `every body is at most as long as its codec says`() {
        for (name in Codecs.offered) {
            val codec = Codec.named(name.replace("topk", "topk:0.013"))
            val body = codec.encode(delta, spec, Rounding.stochastic(Random(1)))
            assertTrue(body.size <= codec.maxBytes(spec), codec.name)
            assertEquals(spec.size, codec.decode(body, spec).size)
        }
    }

    @Test
    fun `rounding by chance has no bias`() {
        val one = WeightSpec(listOf(WeightEntry("w", listOf(20_001), 0)))
        val same = FloatArray(one.size) { 0.3f }.apply { this[0] = 7f }
        val codec = Codec.named("int4")
        val decoded = codec.decode(codec.encode(same, one, Rounding.stochastic(Random(5))), one)
        assertEquals(setOf(0f, 1f), decoded.drop(1).toSet())
        assertEquals(0.3, decoded.drop(1).average(), 0.015)
    }

    @Test
    fun `a fraction is taken exactly in decimal`() {
        val hundred = WeightSpec(listOf(WeightEntry("w", listOf(100), 0)))
        val codec = Codec.named("topk:0.07")
        val decoded = codec.decode(codec.encode(FloatArray(100) { it + 1f }, hundred, Rounding.NEAREST), hundred)
        assertEquals((93 until 100).toList(), decoded.indices.filter { decoded[it] != 0f })
    }

    @Test
    fun `of elements that are equally large the first are kept`() {
        val four = WeightSpec(listOf(WeightEntry("w", listOf(4), 0)))
        val codec = Codec.named("topk:0.5")
        val body = codec.encode(floatArrayOf(-1f, 1f, 1f, -1f), four, Rounding.NEAREST)
        assertArrayEquals(floatArrayOf(-1f, 1f, 0f, 0f), codec.decode(body, four))
    }

    @Test
    fun `only topk leaves elements out`() {
        val leaving = Codecs.offered.filter { Codec.named(it.replace("topk", "topk:0.5")).leavesOut }
        assertEquals(listOf("topk", "topk+zlib"), leaving)
    }

    @Test
    fun `names that are no codec's are refused`() {
        val topk = listOf("topk", "topk:1", "topk:0.", "topk:0.10", "topk:0.1234567", "topk:.5", "topk:0.5\n")
        for (name in topk + listOf("", "float64", "int8+gzip", "int8+zlib+zlib", "+zlib", "int8+zlib\n")) {
            assertEquals("unknown_codec", assertThrows(Unfit::class.java) { Codec.named(name) }.code, name)
        }
    }

    @Test
    fun `a delta that is not finite is not encoded`() {
        for (bad in listOf(Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY)) {
            for (name in Codecs.offered) {
                val codec = Codec.named(name.replace("topk", "topk:0.5"))
                val broken = delta.copyOf().apply { this[1000] = bad }
                val error = assertThrows(Damaged::class.java) { codec.encode(broken, spec, Rounding.NEAREST) }
                assertEquals("non_finite_delta", error.code, name)
            }
        }
    }

    @Test
    fun `a delta of another length is not encoded`() {
        for (name in Codecs.offered) {
            val codec = Codec.named(name.replace("topk", "topk:0.5"))
            val error = assertThrows(Unfit::class.java) { codec.encode(FloatArray(1508), spec, Rounding.NEAREST) }
            assertEquals("spec_mismatch", error.code, name)
        }
    }

    @Test
    fun `a layout named like a codec's own tensor is refused`() {
        val clash = WeightSpec(listOf(WeightEntry("__scales__", listOf(1), 0)))
        assertEquals("spec_mismatch", assertThrows(Unfit::class.java) { Codec.named("int8").maxBytes(clash) }.code)
    }
}
