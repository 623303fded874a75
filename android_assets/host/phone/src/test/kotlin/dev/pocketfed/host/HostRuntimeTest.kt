package dev.pocketfed.host

import dev.pocketfed.client.Unfit
import dev.pocketfed.client.artifact.Artifact
import dev.pocketfed.client.training.ModelRuntime
import java.nio.ByteBuffer
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.ValueSource

/** What Keras made of the golden steps, LiteRT makes of them through this runtime. */
class HostRuntimeTest {
    /** How far losses and sums may lie from those of Keras (docs/artifact.md, "The proof"). */
    private val resultAtol = 1e-5
    private val steps = 10

    @ParameterizedTest
    @ValueSource(strings = ["mnist_2nn", "random", "several"])
    fun `the golden steps end where Keras ended`(name: String) {
        val artifact = Python.artifact(name)
        HostRuntime.OPENER.open(artifact.model).use { Replay(it, artifact).check() }
    }

    @Test
    fun `first weights are those of the checkpoint, to the bit`() {
        val artifact = Python.artifact("random")
        HostRuntime.OPENER.open(artifact.model).use { model ->
            val weights = floatsOf(model.call(artifact.manifest, "get_weights", emptyMap()).getValue("weights"))
            assertArrayEquals(artifact.checkpoint, weights)
        }
    }

    @Test
    fun `two open models have weights of their own`() {
        val artifact = Python.artifact("random")
        val zeros = bytesOf(FloatArray(artifact.checkpoint.size))
        HostRuntime.OPENER.open(artifact.model).use { one ->
            HostRuntime.OPENER.open(artifact.model).use { other ->
                one.call(artifact.manifest, "set_weights", mapOf("weights" to zeros))
                val weights = other.call(artifact.manifest, "get_weights", emptyMap()).getValue("weights")
                assertArrayEquals(artifact.checkpoint, floatsOf(weights))
            }
        }
    }

    @Test
    fun `bytes that are no model are refused`() {
        Python.assumeIsThere()
        val error = assertThrows(Unfit::class.java) { HostRuntime.OPENER.open(ByteBuffer.allocateDirect(4096)) }
        assertEquals("unfit_model", error.code)
    }

    @Test
    fun `a signature, a name or a length that the model does not have is refused`() {
        val artifact = Python.artifact("random")
        val weights = bytesOf(artifact.checkpoint)
        HostRuntime.OPENER.open(artifact.model).use { model ->
            val calls = listOf<() -> Unit>(
                { model.run("predict", emptyMap(), emptyMap()) },
                { model.run("get_weights", emptyMap(), emptyMap()) },
                { model.run("get_weights", emptyMap(), mapOf("weight" to weights)) },
                { model.run("get_weights", emptyMap(), mapOf("weights" to ByteBuffer.allocateDirect(4))) },
            )
            for (call in calls) assertEquals("unfit_model", assertThrows(Unfit::class.java) { call() }.code)
        }
    }

    private inner class Replay(
        private val model: ModelRuntime,
        private val artifact: Artifact,
    ) {
        private val manifest = artifact.manifest
        private val golden = tensorsIn(artifact.open(Artifact.GOLDEN))

        fun check() {
            assertEquals(emptyList<String>(), golden.keys.filter { it.startsWith("slack/") })
            if ("reset_optimizer" in manifest.signatures) model.call(manifest, "reset_optimizer", emptyMap())
            set(artifact.checkpoint)
            val losses = FloatArray(steps) { step ->
                takeStep(step).also { if (step == 0) checkWeights("weights_after_1") }
            }
            checkWeights("weights_after_10")
            assertNear(floatsOf(golden.getValue("loss")), losses, resultAtol, manifest.tolerances.rtol, "loss")
            set(floatsOf(golden.getValue("weights_after_10")))
            checkOutputs("evaluate", "evaluate_sums/")
            checkOutputs("infer", "outputs/")
        }

        private fun set(weights: FloatArray) {
            model.call(manifest, "set_weights", mapOf("weights" to bytesOf(weights)))
        }

        private fun takeStep(step: Int): Float {
            val inputs = manifest.signatures.getValue("train").inputs.associate { spec ->
                val role = if (spec.name[0] == 'x' || spec.name[0] == 'y') "${spec.name[0]}/${spec.name}" else spec.name
                spec.name to rowOf(golden.getValue(role), step, steps)
            }
            return floatsOf(model.call(manifest, "train", inputs).getValue("loss")).single()
        }

        private fun checkWeights(role: String) {
            val weights = floatsOf(model.call(manifest, "get_weights", emptyMap()).getValue("weights"))
            val tolerances = manifest.tolerances
            assertNear(floatsOf(golden.getValue(role)), weights, tolerances.atol, tolerances.rtol, role)
        }

        private fun checkOutputs(signature: String, prefix: String) {
            val inputs = manifest.signatures.getValue(signature).inputs.associate { spec ->
                val role = if (spec.name == "weight") "evaluate_weight" else "evaluate_${spec.name[0]}/${spec.name}"
                spec.name to golden.getValue(role)
            }
            val outputs = model.call(manifest, signature, inputs)
            val wanted = golden.filterKeys { it.startsWith(prefix) }
            assertEquals(wanted.keys.map { it.removePrefix(prefix) }.toSet(), outputs.keys)
            for ((role, tensor) in wanted) {
                val got = floatsOf(outputs.getValue(role.removePrefix(prefix)))
                assertNear(floatsOf(tensor), got, resultAtol, manifest.tolerances.rtol, role)
            }
        }
    }
}
