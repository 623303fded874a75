package dev.pocketfed.host

import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.Pointer
import com.sun.jna.ptr.PointerByReference
import java.nio.ByteBuffer

/** One input or output of a signature with the memory that LiteRT passes it in. */
internal class Slot(val name: String, private val buffer: Pointer) {
    private val size = counted("size of $name") { LiteRt.library.LiteRtGetTensorBufferPackedSize(buffer, it) }
    val handle: Pointer get() = buffer

    fun write(from: ByteBuffer): Unit = locked(LiteRt.WRITE, from) { it.put(from.duplicate().apply { clear() }) }

    fun read(into: ByteBuffer): Unit = locked(LiteRt.READ, into) { into.duplicate().apply { clear() }.put(it) }

    fun close(): Unit = LiteRt.library.LiteRtDestroyTensorBuffer(buffer)

    private fun locked(mode: Int, other: ByteBuffer, copy: (ByteBuffer) -> Unit) {
        if (other.capacity().toLong() != size) {
            throw unfitModel("$name got ${other.capacity()} bytes, expected $size; take this model's manifest")
        }
        val address = made("memory of $name") { LiteRt.library.LiteRtLockTensorBuffer(buffer, it, mode) }
        copy(address.getByteBuffer(0, size))
        require("memory of $name", LiteRt.library.LiteRtUnlockTensorBuffer(buffer))
    }
}

/** One signature of a compiled model, ready to run. */
internal class Call(
    val name: String,
    private val compiled: Pointer,
    private val index: Long,
    private val inputs: List<Slot>,
    private val outputs: List<Slot>,
) {
    private val inputHandles = handles(inputs)
    private val outputHandles = handles(outputs)

    fun run(values: Map<String, ByteBuffer>, results: Map<String, ByteBuffer>) {
        requireNames("inputs", inputs, values.keys)
        requireNames("outputs", outputs, results.keys)
        for (slot in inputs) slot.write(values.getValue(slot.name))
        val status = LiteRt.library.LiteRtRunCompiledModel(
            compiled, index, inputs.size.toLong(), inputHandles, outputs.size.toLong(), outputHandles,
        )
        require(name, status)
        for (slot in outputs) slot.read(results.getValue(slot.name))
    }

    fun close(): Unit = (inputs + outputs).forEach(Slot::close)

    private fun requireNames(what: String, slots: List<Slot>, got: Set<String>) {
        val names = slots.map { it.name }.toSet()
        if (got != names) throw unfitModel("$name got the $what $got, expected $names; take this model's manifest")
    }

    private fun handles(slots: List<Slot>): Memory {
        val array = Memory(Native.POINTER_SIZE * maxOf(1L, slots.size.toLong()))
        slots.forEachIndexed { place, slot -> array.setPointer(Native.POINTER_SIZE * place.toLong(), slot.handle) }
        return array
    }

    companion object {
        private val lite get() = LiteRt.library

        fun of(model: Pointer, compiled: Pointer, index: Long): Call {
            val signature = made("signature") { lite.LiteRtGetModelSignature(model, index, it) }
            val inputs = Side(
                lite::LiteRtGetNumSignatureInputs, lite::LiteRtGetSignatureInputName,
                lite::LiteRtGetSignatureInputTensorByIndex, lite::LiteRtGetCompiledModelInputBufferRequirements,
            )
            val outputs = Side(
                lite::LiteRtGetNumSignatureOutputs, lite::LiteRtGetSignatureOutputName,
                lite::LiteRtGetSignatureOutputTensorByIndex, lite::LiteRtGetCompiledModelOutputBufferRequirements,
            )
            val key = made("key") { lite.LiteRtGetSignatureKey(signature, it) }.getString(0)
            val (taken, given) = listOf(inputs, outputs).map { it.slots(signature, compiled, index) }
            return Call(key, compiled, index, taken, given)
        }
    }
}

private typealias OfTensor = (Pointer, Long, PointerByReference) -> Int

/** LiteRT's functions for one side of a signature, what goes in or what comes out. */
private class Side(
    private val count: (Pointer, LongArray) -> Int,
    private val name: OfTensor,
    private val tensor: OfTensor,
    private val requirements: (Pointer, Long, Long, PointerByReference) -> Int,
) {
    fun slots(signature: Pointer, compiled: Pointer, index: Long): List<Slot> =
        (0 until counted("tensors") { count(signature, it) }).map { place ->
            val name = made("name") { name(signature, place, it) }.getString(0)
            val needs = made("needs of $name") { requirements(compiled, index, place, it) }
            Slot(name, buffer(made(name) { tensor(signature, place, it) }, needs))
        }

    private fun buffer(tensor: Pointer, needs: Pointer): Pointer {
        val type = Memory(LiteRt.RANKED_TENSOR_TYPE_BYTES)
        require("type", LiteRt.library.LiteRtGetRankedTensorType(tensor, type))
        return made("memory") {
            LiteRt.library.LiteRtCreateManagedTensorBufferFromRequirements(LiteRt.environment, type, needs, it)
        }
    }
}
