package dev.pocketfed.client.wire

import dev.pocketfed.client.Unfit
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

class WeightSpecTest {
    @Test
    fun `entries that follow one another are a layout`() {
        assertEquals(7, WeightSpec(listOf(WeightEntry("a", listOf(2, 3), 0), WeightEntry("b", listOf(), 6))).size)
    }

    @Test
    fun `a hole, an overlap and a negative side are refused`() {
        assertEquals("spec_mismatch", codeOf(WeightEntry("a", listOf(2), 0), WeightEntry("b", listOf(1), 3)))
        assertEquals("spec_mismatch", codeOf(WeightEntry("a", listOf(2), 0), WeightEntry("b", listOf(1), 1)))
        assertEquals("spec_mismatch", codeOf(WeightEntry("a", listOf(-1, -2), 0)))
    }

    @Test
    fun `a name that occurs twice is refused`() {
        assertEquals("spec_mismatch", codeOf(WeightEntry("a", listOf(2), 0), WeightEntry("a", listOf(1), 2)))
    }

    @Test
    fun `a layout that no vector can hold is refused`() {
        assertEquals("spec_mismatch", codeOf(WeightEntry("a", listOf(70_000, 70_000), 0)))
        assertEquals("spec_mismatch", codeOf(WeightEntry("a", listOf(1 shl 30), 0)))
    }

    @Test
    fun `a name outside ASCII is escaped in the header as JSON has it`() {
        val entry = WeightEntry("gew\u00edcht\u007f/\"\\\n\ud83d\ude00", listOf(1), 0)
        val body = Codec.named("float32").encode(floatArrayOf(1f), WeightSpec(listOf(entry)), Rounding.NEAREST)
        val name = "gew\\u00edcht\\u007f/\\\"\\\\\\n\\ud83d\\ude00"
        val text = String(body, 8, body.size - 12, Charsets.US_ASCII)
        assertEquals("""{"$name":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", text.trimEnd())
        assertEquals(0, text.length % 8)
    }

    private fun codeOf(vararg entries: WeightEntry) =
        assertThrows(Unfit::class.java) { WeightSpec(entries.toList()) }.code
}
