package dev.pocketfed.client.training

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * An example as bytes, little-endian: the number of inputs (u16), then for each, in the order of its name,
 * the length of its name (u16), the name in UTF-8, what its values are (u8: 0 bytes, 1 ints, 2 floats),
 * how many (i32), and the values.
 */
internal object ExampleRecord {
    private const val BYTES: Byte = 0
    private const val INTS: Byte = 1
    private const val FLOATS: Byte = 2
    private const val ENTRY_BYTES = Short.SIZE_BYTES + Byte.SIZE_BYTES + Int.SIZE_BYTES

    fun encode(example: Example): ByteArray {
        val inputs = example.inputs.toSortedMap().mapKeys { it.key.toByteArray() }
        val length = Short.SIZE_BYTES + inputs.entries.sumOf { ENTRY_BYTES + it.key.size + valueBytes(it.value) }
        val buffer = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN).putShort(inputs.size.toShort())
        for ((name, values) in inputs) {
            buffer.putShort(name.size.toShort()).put(name)
            put(values, buffer)
        }
        return buffer.array()
    }

    fun decode(record: ByteArray): Example {
        val buffer = ByteBuffer.wrap(record).order(ByteOrder.LITTLE_ENDIAN)
        val inputs = LinkedHashMap<String, Values>()
        repeat(buffer.getShort().toInt() and 0xFFFF) {
            val name = ByteArray(buffer.getShort().toInt() and 0xFFFF).also { buffer.get(it) }
            inputs[String(name, Charsets.UTF_8)] = values(buffer)
        }
        return Example(inputs)
    }

    private fun valueBytes(values: Values): Int =
        if (values is Values.Bytes) values.size else values.size * Int.SIZE_BYTES

    private fun put(values: Values, buffer: ByteBuffer) {
        when (values) {
            is Values.Bytes -> buffer.put(BYTES).putInt(values.size).put(values.raw)
            is Values.Ints -> {
                buffer.put(INTS).putInt(values.size)
                for (value in values.raw) buffer.putInt(value)
            }
            is Values.Floats -> {
                buffer.put(FLOATS).putInt(values.size)
                for (value in values.raw) buffer.putFloat(value)
            }
        }
    }

    private fun values(buffer: ByteBuffer): Values {
        val kind = buffer.get()
        val count = buffer.getInt()
        return when (kind) {
            BYTES -> Values.Bytes(ByteArray(count).also { buffer.get(it) })
            INTS -> Values.Ints(IntArray(count) { buffer.getInt() })
            else -> Values.Floats(FloatArray(count) { buffer.getFloat() })
        }
    }
}
