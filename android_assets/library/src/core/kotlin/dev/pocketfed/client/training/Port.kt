package dev.pocketfed.client.training

import dev.pocketfed.client.Unfit
import dev.pocketfed.client.artifact.InputScale
import dev.pocketfed.client.artifact.Manifest
import dev.pocketfed.client.artifact.TensorSpec
import dev.pocketfed.client.wire.elementsOf
import java.nio.ByteBuffer
import java.nio.ByteOrder

private val ITEM_BYTES = mapOf("float32" to 4, "int32" to 4, "int64" to 8)

/** A tensor with the memory it is passed in, which every call uses again. */
internal class Tensor(val spec: TensorSpec) {
    private val itemBytes = ITEM_BYTES[spec.dtype]
        ?: throw unfitModel("${spec.name} is of ${spec.dtype}, expected one of ${ITEM_BYTES.keys}; change the model")
    val elements: Int = elementsOf(spec.shape)?.takeIf { it > 0 }
        ?: throw unfitModel("${spec.name} has the shape ${spec.shape}, expected a static one; export the model again")
    val buffer: ByteBuffer = ByteBuffer.allocateDirect(elements * itemBytes).order(ByteOrder.nativeOrder())

    /** The only element of an output. */
    val scalar: Float get() = buffer.getFloat(0)

    fun clear() {
        for (place in 0 until buffer.capacity()) buffer.put(place, 0)
    }

    /** Writes a value for each place of row [row] of [rows]; numbers are scaled by [scale], if there is one. */
    fun write(values: Values, row: Int, rows: Int, scale: InputScale?) {
        val width = elements / rows
        if (values.size != width) {
            throw unfitExamples("${spec.name} got ${values.size} values, expected $width; store what the model takes")
        }
        val first = row * width
        when (spec.dtype) {
            "float32" -> writeFloats(values, first, scale)
            "int32" -> for (place in 0 until width) buffer.putInt(at(first + place), integer(values, place))
            else -> for (place in 0 until width) buffer.putLong(at(first + place), integer(values, place).toLong())
        }
    }

    private fun at(element: Int) = element * itemBytes

    private fun writeFloats(values: Values, first: Int, scale: InputScale?) {
        val offset = scale?.offset?.toFloat() ?: 0f
        val factor = scale?.scale?.toFloat() ?: 1f
        for (place in 0 until values.size) {
            buffer.putFloat(at(first + place), (number(values, place) - offset) * factor)
        }
    }

    private fun integer(values: Values, place: Int): Int = when (values) {
        is Values.Bytes -> values.raw[place].toInt() and 0xFF
        is Values.Ints -> values.raw[place]
        is Values.Floats -> throw unfitExamples("${spec.name} got floats, expected ${spec.dtype}; store integers")
    }
}

private fun number(values: Values, place: Int): Float = when (values) {
    is Values.Bytes -> (values.raw[place].toInt() and 0xFF).toFloat()
    is Values.Ints -> values.raw[place].toFloat()
    is Values.Floats -> values.raw[place]
}


/** One signature of an open model, with memory for all that goes in and comes out. */
internal class Port(private val runtime: ModelRuntime, private val signature: String, manifest: Manifest) {
    private val tensors = manifest.signatures[signature]
        ?: throw unfitModel("${manifest.name} has no signature '$signature', expected one; export it again")
    val inputs: Map<String, Tensor> = tensors.inputs.associate { it.name to Tensor(it) }
    private val outputs: Map<String, Tensor> = tensors.outputs.associate { it.name to Tensor(it) }
    private val inputBuffers = inputs.mapValues { it.value.buffer }
    private val outputBuffers = outputs.mapValues { it.value.buffer }

    fun run(): Unit = runtime.run(signature, inputBuffers, outputBuffers)

    fun input(name: String): Tensor = inputs[name] ?: throw missing("takes", name)

    fun output(name: String): Tensor = outputs[name] ?: throw missing("gives", name)

    private fun missing(verb: String, name: String) =
        unfitModel("$signature $verb no '$name', expected one; export the model again")
}

/** The batches of a signature: rows of examples, then padding of weight 0. */
internal class Feed(private val port: Port, private val rows: Int, private val inputScale: InputScale) {
    private val weight = port.input("weight")
    private val named = port.inputs.filterKeys { it == "x" || it == "y" || it.startsWith("x_") || it.startsWith("y_") }

    /** Lays out [examples], at most as many as there are rows. Throws Unfit (`unfit_examples`). */
    fun fill(examples: List<Example>) {
        for ((name, tensor) in named) {
            // Padding changes nothing whatever it holds, but old rows there could hold a NaN.
            if (examples.size < rows) tensor.clear()
            examples.forEachIndexed { row, example -> tensor.write(valuesOf(example, name), row, rows, scaleOf(name)) }
        }
        for (row in 0 until rows) weight.buffer.putFloat(row * Float.SIZE_BYTES, if (row < examples.size) 1f else 0f)
    }

    private fun scaleOf(name: String): InputScale? = inputScale.takeIf { name.startsWith("x") }

    private fun valuesOf(example: Example, name: String): Values = example.inputs[name]
        ?: throw unfitExamples("got an example of ${example.inputs.keys}, expected '$name' too; store both")
}

internal fun unfitModel(message: String): Unfit = Unfit("unfit_model", message)

internal fun unfitExamples(message: String): Unfit = Unfit("unfit_examples", message)
