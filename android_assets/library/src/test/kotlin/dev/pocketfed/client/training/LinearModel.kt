package dev.pocketfed.client.training

import dev.pocketfed.client.artifact.Manifest
import dev.pocketfed.client.wire.Codec
import dev.pocketfed.client.wire.Rounding
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A runtime that fits `y = w x` over two inputs and one output by SGD on the squared error, with noise from
 * the seed. With [momentum] it remembers a velocity that only `reset_optimizer` forgets.
 */
internal class LinearModel(private val momentum: Float = 0f) : ModelRuntime {
    private val weights = FloatArray(2)
    private val velocity = FloatArray(2)
    val seeds = ArrayList<Int>()
    val batches = ArrayList<List<Float>>()
    val rates = ArrayList<Float>()
    var isClosed = false

    override fun run(signature: String, inputs: Map<String, ByteBuffer>, outputs: Map<String, ByteBuffer>) {
        for (buffer in inputs.values + outputs.values) {
            require(buffer.isDirect && buffer.order() == ByteOrder.nativeOrder() && buffer.position() == 0)
        }
        when (signature) {
            "train" -> train(inputs, outputs)
            "evaluate" -> evaluate(inputs, outputs)
            "get_weights" -> outputs.getValue("weights").asFloatBuffer().put(weights)
            "set_weights" -> inputs.getValue("weights").asFloatBuffer().get(weights)
            "reset_optimizer" -> velocity.fill(0f)
            else -> error(signature)
        }
    }

    override fun close() {
        isClosed = true
    }

    private fun train(inputs: Map<String, ByteBuffer>, outputs: Map<String, ByteBuffer>) {
        val weight = floats(inputs.getValue("weight"))
        val x = floats(inputs.getValue("x"))
        seeds += inputs.getValue("seed").getInt(0)
        rates += inputs.getValue("learning_rate").getFloat(0)
        batches += weight.indices.filter { weight[it] == 1f }.map { x[2 * it] }
        val gradient = FloatArray(2)
        var loss = 0f
        for (row in weight.indices) {
            val error = weight[row] * errorOf(inputs, row)
            loss += error * error
            for (side in 0..1) gradient[side] += error * x[2 * row + side]
        }
        for (side in 0..1) {
            velocity[side] = momentum * velocity[side] + gradient[side] / weight.sum() + seeds.last() * 1e-12f
            weights[side] -= rates.last() * velocity[side]
        }
        outputs.getValue("loss").putFloat(0, loss / weight.sum())
    }

    private fun evaluate(inputs: Map<String, ByteBuffer>, outputs: Map<String, ByteBuffer>) {
        val weight = floats(inputs.getValue("weight"))
        val errors = weight.indices.map { weight[it] * errorOf(inputs, it) }
        outputs.getValue("loss_sum").putFloat(0, errors.sumOf { (it * it).toDouble() }.toFloat())
        val correct = weight.indices.count { weight[it] == 1f && errors[it] == 0f }
        outputs.getValue("correct_sum").putFloat(0, correct.toFloat())
        outputs.getValue("weight_sum").putFloat(0, weight.sum())
    }

    private fun errorOf(inputs: Map<String, ByteBuffer>, row: Int): Float {
        val x = floats(inputs.getValue("x"))
        return weights[0] * x[2 * row] + weights[1] * x[2 * row + 1] - inputs.getValue("y").getInt(row * Int.SIZE_BYTES)
    }

    companion object {
        /** The material of such a model in batches of [batch], evaluated in batches of [batch] + 1. */
        fun material(
            batch: Int = 3,
            remembers: Boolean = false,
            proximal: Double = 0.0,
            scale: String = "{}",
        ): Material {
            val tensors = { rows: Int ->
                """{"name":"y","dtype":"int32","shape":[$rows]},{"name":"weight","dtype":"float32","shape":[$rows]},
                {"name":"x","dtype":"float32","shape":[$rows,2]}"""
            }
            val scalar = { name: String, kind: String -> """{"name":"$name","dtype":"$kind","shape":[]}""" }
            val vector = """{"name":"weights","dtype":"float32","shape":[2]}"""
            val sums = listOf("loss_sum", "correct_sum", "weight_sum").joinToString { scalar(it, "float32") }
            val reset = if (remembers) ""","reset_optimizer":{"inputs":[],"outputs":[]}""" else ""
            val manifest = """{"name":"linear","created_by":"a test","files":{},"batch_size":$batch,
                "evaluate_batch_size":${batch + 1},"spec":[{"name":"w","shape":[2],"offset":0}],"loss":"mse",
                "optimizer":"sgd","ops":{},"minimum_runtime":"0","tolerances":{"atol":0,"rtol":0},"proximal":$proximal,
                "input_scale":$scale,"signatures":{
                "train":{"inputs":[${tensors(batch)},${scalar("learning_rate", "float32")},${scalar("seed", "int32")}],
                    "outputs":[${scalar("loss", "float32")}]},
                "evaluate":{"inputs":[${tensors(batch + 1)}],"outputs":[$sums]},
                "get_weights":{"inputs":[],"outputs":[$vector]},
                "set_weights":{"inputs":[$vector],"outputs":[]}$reset}}"""
            val spec = Manifest.parse(manifest.toByteArray()).weightSpec
            val checkpoint = Codec.named("float32").encode(floatArrayOf(0.25f, -0.5f), spec, Rounding.NEAREST)
            return Material(ByteBuffer.allocateDirect(4), manifest.toByteArray(), checkpoint)
        }

        private fun floats(buffer: ByteBuffer): FloatArray =
            buffer.asFloatBuffer().let { view -> FloatArray(view.remaining()) { view.get(it) } }
    }
}

/** Examples in memory: the first side of x tells them apart. */
internal class Listed(private val all: List<Example>) : ExampleSource {
    override fun open(): ExampleStore = object : ExampleStore {
        override val count = all.size

        override fun examples() = all.iterator()

        override fun close() = Unit
    }

    companion object {
        fun of(count: Int) = Listed(
            List(count) {
                Example(mapOf("x" to Values.Floats(floatArrayOf(it / 16f, 1f)), "y" to Values.Ints(intArrayOf(it % 3))))
            },
        )
    }
}
