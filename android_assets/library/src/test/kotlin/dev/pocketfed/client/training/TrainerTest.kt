package dev.pocketfed.client.training

import dev.pocketfed.client.Damaged
import dev.pocketfed.client.Stopped
import dev.pocketfed.client.Unfit
import dev.pocketfed.client.protocol.Plan
import java.io.IOException
import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class TrainerTest {
    @TempDir
    lateinit var folder: Path

    private val plan = Plan(epochs = 2, batchSize = 3, learningRate = 0.125f)
    private val opened = ArrayList<LinearModel>()
    private val never = StopSignal { false }

    private fun trainer(examples: ExampleSource = Listed.of(10)): Trainer {
        val opener = RuntimeOpener { LinearModel().also { model -> opened += model } }
        return Trainer(examples, opener, folder.toFile())
    }

    private fun train(
        plan: Plan,
        count: Int = 10,
        key: String = "a",
        material: Material = LinearModel.material(),
    ): Learned = trainer(Listed.of(count)).train(key, material, plan, never)

    private fun one(x: Values, y: Values) = Listed(listOf(Example(mapOf("x" to x, "y" to y))))

    private fun places() = opened.last().batches.map { batch -> batch.map { (it * 16).toInt() } }

    @Test
    fun `a pass takes every example once, in batches of the plan's size`() {
        val learned = train(plan)
        assertEquals(listOf(3, 3, 3, 1, 3, 3, 3, 1), places().map { it.size })
        for (pass in places().chunked(4)) assertEquals((0 until 10).toList(), pass.flatten().sorted())
        assertEquals(10, learned.numExamples)
    }

    @Test
    fun `a batch may be smaller than the model's`() {
        train(plan.copy(batchSize = 2))
        assertEquals(List(10) { 2 }, places().map { it.size })
    }

    @Test
    fun `each pass has an order of its own`() {
        train(plan)
        val (first, second) = places().chunked(4).map { it.flatten() }
        assertNotEquals(first, second)
        assertNotEquals((0 until 10).toList(), first)
    }

    @Test
    fun `of too many examples the same are taken in all passes`() {
        val learned = train(plan.copy(maxExamples = 4, epochs = 3))
        val passes = places().chunked(2).map { it.flatten().toSet() }
        assertEquals(1, passes.toSet().size)
        assertEquals(4, passes.first().size)
        assertEquals(4, learned.numExamples)
    }

    @Test
    fun `every step has a seed of its own`() {
        train(plan.copy(epochs = 20))
        assertEquals(80, opened.last().seeds.toSet().size)
    }

    @Test
    fun `the same key makes the same delta, another key another`() {
        val delta = train(plan).delta
        assertArrayEquals(delta, train(plan).delta)
        assertTrue(!delta.contentEquals(train(plan, key = "b").delta))
    }

    @Test
    fun `the delta is what a step changes`() {
        val one = one(Values.Floats(floatArrayOf(2f, 1f)), Values.Ints(intArrayOf(1)))
        val learned = trainer(one).train("a", LinearModel.material(), plan.copy(epochs = 1), never)
        // The error of 0.25 * 2 - 0.5 * 1 - 1 is -1, whose gradient is -x; the noise of a seed is below 0.003.
        assertEquals(0.25f, learned.delta[0], 3e-3f)
        assertEquals(0.125f, learned.delta[1], 3e-3f)
        assertEquals(1.0, learned.loss)
    }

    @Test
    fun `the loss is the mean over the examples of the last pass`() {
        val learned = train(plan.copy(learningRate = Float.MIN_VALUE))
        val measured = trainer().evaluate("a", LinearModel.material(), plan, never)
        assertEquals(measured.metrics.getValue("loss"), learned.loss, 1e-6)
    }

    @Test
    fun `inputs are scaled as the manifest says, labels are not`() {
        val raw = one(Values.Bytes(byteArrayOf(-1, 55)), Values.Bytes(byteArrayOf(1)))
        val scaled = LinearModel.material(scale = """{"offset":55.0,"scale":0.5}""")
        trainer(raw).train("a", scaled, plan.copy(epochs = 1), never)
        assertEquals(listOf(listOf(100f)), opened.last().batches)
    }

    @Test
    fun `an evaluation takes every example once`() {
        val measured = trainer().evaluate("a", LinearModel.material(), plan, never)
        val errors = (0 until 10).map { 0.25f * it / 16f - 0.5f - it % 3 }
        assertEquals(10, measured.numExamples)
        assertEquals(errors.map { it * it }.average(), measured.metrics.getValue("loss"), 1e-6)
        assertEquals(0.0, measured.metrics.getValue("accuracy"))
    }

    @Test
    fun `an evaluation takes no more examples than the plan says`() {
        assertEquals(7, trainer().evaluate("a", LinearModel.material(), plan.copy(maxExamples = 7), never).numExamples)
    }

    @Test
    fun `a plan that cannot be followed is refused`() {
        val plans = listOf(
            plan.copy(batchSize = 4), plan.copy(batchSize = 0), plan.copy(epochs = 0), plan.copy(maxExamples = 0),
            plan.copy(learningRate = 0f), plan.copy(learningRate = Float.NaN),
        )
        for (bad in plans) assertEquals("unfit_plan", assertThrows(Unfit::class.java, { train(bad) }, "$bad").code)
    }

    @Test
    fun `no example is no training and no evaluation`() {
        assertEquals("no_examples", assertThrows(Unfit::class.java) { train(plan, count = 0) }.code)
        val none = trainer(Listed.of(0))
        val error = assertThrows(Unfit::class.java) { none.evaluate("a", LinearModel.material(), plan, never) }
        assertEquals("no_examples", error.code)
    }

    @Test
    fun `examples that do not fit the model are refused, and the model is closed`() {
        val x = Values.Floats(floatArrayOf(1f, 2f))
        val y = Values.Ints(intArrayOf(1))
        val half = Values.Floats(floatArrayOf(0.5f))
        val bad = listOf(mapOf("x" to x), mapOf("x" to y, "y" to y), mapOf("x" to x, "y" to half))
        for (inputs in bad) {
            val error = assertThrows(Unfit::class.java) {
                trainer(Listed(listOf(Example(inputs)))).train("a", LinearModel.material(), plan, never)
            }
            assertEquals("unfit_examples", error.code)
            assertTrue(opened.last().isClosed)
        }
    }

    @Test
    fun `examples that cannot be read are damaged`() {
        val error = assertThrows(Damaged::class.java) {
            trainer { throw IOException("gone") }.train("a", LinearModel.material(), plan, never)
        }
        assertEquals("unreadable_examples", error.code)
    }

    @Test
    fun `a checkpoint of another layout is refused`() {
        val material = LinearModel.material()
        val other = Material(material.model, material.manifest, material.checkpoint.copyOf(8))
        assertEquals("truncated_body", assertThrows(Damaged::class.java) { train(plan, material = other) }.code)
    }

    @Test
    fun `an evaluation stops when it is told to`() {
        assertThrows(Stopped::class.java) { trainer().evaluate("a", LinearModel.material(), plan, { true }) }
        assertTrue(opened.last().isClosed)
    }
}
