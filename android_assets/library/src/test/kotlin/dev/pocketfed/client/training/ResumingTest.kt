package dev.pocketfed.client.training

import dev.pocketfed.client.Stopped
import dev.pocketfed.client.protocol.Plan
import java.io.File
import java.nio.ByteBuffer
import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** A training that was interrupted goes on, and ends where an undisturbed one ends, to the bit. */
class ResumingTest {
    private class Death : Error()

    @TempDir
    lateinit var folder: Path

    private val plan = Plan(epochs = 3, batchSize = 3, learningRate = 0.125f)
    private val steps = 12
    private val state: File get() = folder.resolve("training.state").toFile()
    private val undisturbed = ArrayList<LinearModel>()

    /** What a new process makes; the runtime dies after [life] steps. */
    private fun train(
        life: Int = Int.MAX_VALUE,
        material: Material = LinearModel.material(),
        momentum: Float = 0f,
        examples: ExampleSource = Listed.of(10),
        stop: StopSignal = StopSignal { false },
        key: String = "a",
    ): Learned {
        val model = LinearModel(momentum).also { undisturbed += it }
        val mortal = object : ModelRuntime by model {
            override fun run(signature: String, inputs: Map<String, ByteBuffer>, outputs: Map<String, ByteBuffer>) {
                if (signature == "train" && model.seeds.size == life) throw Death()
                model.run(signature, inputs, outputs)
            }
        }
        return Trainer(examples, { mortal }, folder.toFile(), saveEverySteps = 2).train(key, material, plan, stop)
    }

    private fun stepsTaken() = undisturbed.last().seeds.size

    @Test
    fun `a training that died at any step goes on from its last savepoint`() {
        val whole = train()
        for (life in 0 until steps) {
            assertThrows(Death::class.java) { train(life) }
            val resumed = train()
            assertArrayEquals(whole.delta, resumed.delta)
            assertEquals(whole.loss, resumed.loss)
            assertEquals(steps - life / 2 * 2, stepsTaken())
        }
    }

    @Test
    fun `a training that died again and again comes to its end`() {
        val whole = train()
        repeat(5) { assertThrows(Death::class.java) { train(life = 2) } }
        assertArrayEquals(whole.delta, train().delta)
        assertEquals(2, stepsTaken())
    }

    @Test
    fun `a training that was stopped goes on at the very step`() {
        val whole = train()
        for (last in 0 until steps) {
            var asked = 0
            assertThrows(Stopped::class.java) { train(stop = { asked++ == last }) }
            val resumed = train()
            assertArrayEquals(whole.delta, resumed.delta)
            assertEquals(whole.loss, resumed.loss)
            assertEquals(steps - last, stepsTaken())
        }
    }

    @Test
    fun `nothing is left of a training that has ended`() {
        train()
        assertEquals(emptyList<File>(), folder.toFile().listFiles().orEmpty().toList())
    }

    @Test
    fun `a savepoint is only for the work it belongs to`() {
        val others = listOf<(Int) -> Learned>(
            { train(it, key = "b") },
            { train(it, examples = Listed.of(9)) },
            { train(it, material = LinearModel.material(batch = 4)) },
        )
        for (other in others) {
            assertThrows(Death::class.java) { other(4) }
            train()
            assertEquals(steps, stepsTaken())
        }
    }

    @Test
    fun `a savepoint with any byte turned over is not used`() {
        assertThrows(Death::class.java) { train(4) }
        val sound = state.readBytes()
        for (place in sound.indices) {
            state.writeBytes(sound.copyOf().apply { this[place] = (this[place].toInt() xor 1).toByte() })
            train()
            assertEquals(steps, stepsTaken(), "byte $place")
        }
        state.writeBytes(sound.copyOf(sound.size - 1))
        train()
        assertEquals(steps, stepsTaken())
    }

    @Test
    fun `a model with an optimizer that remembers starts again`() {
        val material = LinearModel.material(remembers = true)
        val whole = train(material = material, momentum = 0.9f)
        assertThrows(Death::class.java) { train(5, material, 0.9f) }
        assertFalse(state.exists())
        assertArrayEquals(whole.delta, train(material = material, momentum = 0.9f).delta)
        assertEquals(steps, stepsTaken())
    }

    @Test
    fun `a model that compares with what it received starts again`() {
        assertThrows(Death::class.java) { train(5, LinearModel.material(proximal = 0.1)) }
        assertFalse(state.exists())
    }

    @Test
    fun `training goes on where there is no room for a savepoint`() {
        val whole = train()
        File(state.path + ".new").mkdirs()
        assertArrayEquals(whole.delta, train().delta)
    }
}
