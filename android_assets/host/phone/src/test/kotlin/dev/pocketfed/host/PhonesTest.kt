package dev.pocketfed.host

import dev.pocketfed.client.artifact.Artifact
import dev.pocketfed.client.artifact.InputScale
import dev.pocketfed.client.protocol.Plan
import dev.pocketfed.client.training.Example
import dev.pocketfed.client.training.ExampleLog
import dev.pocketfed.client.training.Learned
import dev.pocketfed.client.training.Material
import dev.pocketfed.client.training.Measured
import dev.pocketfed.client.training.ModelRuntime
import dev.pocketfed.client.training.RuntimeOpener
import dev.pocketfed.client.training.Trainer
import dev.pocketfed.client.training.Values
import dev.pocketfed.client.wire.Codec
import dev.pocketfed.client.wire.Rounding
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.file.Path
import java.util.Random
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** A phone in Kotlin and the simulator's in Python, on the same model and the same examples. */
class PhonesTest {
    /** Remembers the rows and the seed of each step that a trainer takes. */
    private class Watched(private val inner: ModelRuntime) : ModelRuntime by inner {
        val rows = ArrayList<List<ByteBuffer>>()
        val seeds = ArrayList<Int>()
        var life = Int.MAX_VALUE

        override fun run(signature: String, inputs: Map<String, ByteBuffer>, outputs: Map<String, ByteBuffer>) {
            if (signature == "train") {
                if (life-- == 0) throw Death()
                watch(inputs)
            }
            inner.run(signature, inputs, outputs)
        }

        private fun watch(inputs: Map<String, ByteBuffer>) {
            val weight = floatsOf(inputs.getValue("weight"))
            val x = inputs.getValue("x")
            rows += weight.indices.filter { weight[it] == 1f }.map { rowOf(x, it, weight.size) }
            seeds += inputs["seed"]?.getInt(0) ?: 0
        }
    }

    private class Death : Error()

    @TempDir
    lateinit var temporary: Path

    private val folder: File get() = temporary.toFile()
    private val random = Random(11)
    private val count = 47
    private val plan = Plan(epochs = 3, batchSize = 7, learningRate = 0.1f)

    private fun materialOf(artifact: Artifact) =
        Material(artifact.model, artifact.manifestBytes, artifact.bytesOf(Artifact.CHECKPOINT))

    /** Examples of the model `random`. */
    private fun points() = List(count) {
        val x = FloatArray(12) { random.nextGaussian().toFloat() }
        Example(mapOf("x" to Values.Floats(x), "y" to Values.Ints(intArrayOf(random.nextInt(4)))))
    }

    private fun trained(artifact: Artifact, examples: List<Example>, watched: (Watched) -> Unit): Learned {
        val log = ExampleLog(folder.resolve("examples"), count).apply { clear() }
        examples.forEach(log::append)
        val opener = RuntimeOpener { Watched(HostRuntime.OPENER.open(it)).also(watched) }
        return Trainer(log, opener, folder, saveEverySteps = 4).train("key", materialOf(artifact), plan) { false }
    }

    @Test
    fun `images, scaled on the phone, make the delta that they make in Python`() {
        val artifact = Python.artifact("mnist_2nn")
        val examples = List(count) { place ->
            val image = ByteArray(784).also(random::nextBytes)
            image[0] = place.toByte()
            Example(mapOf("x" to Values.Bytes(image), "y" to Values.Ints(intArrayOf(random.nextInt(10)))))
        }
        compare("mnist_2nn", artifact, examples, "uint8")
    }

    @Test
    fun `random steps with the same seeds make the delta that they make in Python`() {
        val artifact = Python.artifact("random")
        compare("random", artifact, points(), "<f4")
    }

    @Test
    fun `a training that died goes on and ends at the same bits`() {
        val artifact = Python.artifact("random")
        val examples = points()
        val whole = trained(artifact, examples) {}
        assertThrows(Death::class.java) { trained(artifact, examples) { it.life = 10 } }
        lateinit var last: Watched
        val resumed = trained(artifact, examples) { last = it }
        assertArrayEquals(whole.delta, resumed.delta)
        assertEquals(21 - 8, last.seeds.size)
    }

    @Test
    fun `a model with several inputs and outputs learns and is measured`() {
        val artifact = Python.artifact("several")
        val log = ExampleLog(folder.resolve("examples"), count)
        repeat(count) {
            val tokens = IntArray(20) { random.nextInt(30) }
            val scalars = FloatArray(3) { random.nextFloat() }
            val inputs = mapOf(
                "x_tokens" to Values.Ints(tokens),
                "x_scalars" to Values.Floats(scalars),
                "y_kind" to Values.Ints(intArrayOf(tokens[0] % 3)),
                "y_size" to Values.Floats(floatArrayOf(scalars[0])),
            )
            log.append(Example(inputs))
        }
        val trainer = Trainer(log, HostRuntime.OPENER, folder)
        val small = plan.copy(batchSize = 4, epochs = 10, learningRate = 0.01f)
        val before = trainer.evaluate("a", materialOf(artifact), small) { false }
        val learned = trainer.train("a", materialOf(artifact), small) { false }
        val moved = FloatArray(learned.delta.size) { artifact.checkpoint[it] + learned.delta[it] }
        val checkpoint = Codec.named("float32").encode(moved, artifact.manifest.weightSpec, Rounding.NEAREST)
        val after = trainer.evaluate("a", Material(artifact.model, artifact.manifestBytes, checkpoint), small) { false }
        assertTrue(lossOf(after) < lossOf(before), "${lossOf(before)} became ${lossOf(after)}")
        assertEquals(count, after.numExamples)
    }

    private fun lossOf(measured: Measured) = measured.metrics.getValue("loss")

    private fun compare(name: String, artifact: Artifact, examples: List<Example>, dtype: String) {
        lateinit var watched: Watched
        val learned = trained(artifact, examples) { watched = it }
        tell(watched, examples, dtype, artifact)
        Python.run("told.py", Python.folderOf(name).path, folder.path)
        val delta = floatsOf(direct(ByteBuffer.wrap(folder.resolve("delta.bin").readBytes())))
        assertTrue(delta.any { it != 0f })
        val tolerances = artifact.manifest.tolerances
        assertNear(delta, learned.delta, tolerances.atol, tolerances.rtol, "delta")
    }

    /** Writes what `told.py` reads. */
    private fun tell(watched: Watched, examples: List<Example>, dtype: String, artifact: Artifact) {
        val scale = artifact.manifest.inputScale
        val placeOf = examples.withIndex().associate { (place, example) -> scaled(example, scale) to place }
        val places = watched.rows.map { step -> step.map(placeOf::getValue) }
        val perPass = (count + plan.batchSize - 1) / plan.batchSize
        val orders = places.chunked(perPass).map { it.flatten() }
        folder.resolve("plan.json").writeText(
            """{"plan":{"epochs":${plan.epochs},"batch_size":${plan.batchSize},"learning_rate":${plan.learningRate}},
            "x_dtype":"$dtype","orders":$orders,"seeds":${watched.seeds.chunked(perPass)}}""",
        )
        folder.resolve("x.bin").writeBytes(examples.map { raw(it.inputs.getValue("x")) }.reduce(ByteArray::plus))
        folder.resolve("y.bin").writeBytes(examples.map { raw(it.inputs.getValue("y")) }.reduce(ByteArray::plus))
    }

    private fun scaled(example: Example, scale: InputScale): ByteBuffer {
        val values = example.inputs.getValue("x")
        val bytes = raw(values)
        val raw = if (values is Values.Floats) values.raw else FloatArray(bytes.size) { bytes[it].toUByte().toFloat() }
        return bytesOf(FloatArray(raw.size) { (raw[it] - scale.offset.toFloat()) * scale.scale.toFloat() })
    }

    private fun raw(values: Values): ByteArray {
        val buffer = ByteBuffer.allocate(4 * values.size).order(ByteOrder.LITTLE_ENDIAN)
        when (values) {
            is Values.Bytes -> return values.raw
            is Values.Ints -> buffer.asIntBuffer().put(values.raw)
            is Values.Floats -> buffer.asFloatBuffer().put(values.raw)
        }
        return buffer.array()
    }
}
