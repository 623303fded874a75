package dev.pocketfed.client.training

import dev.pocketfed.client.artifact.Manifest
import java.nio.ByteBuffer

/** A model in the phone's runtime, by what its signatures do. */
internal class OpenModel(private val runtime: ModelRuntime, private val manifest: Manifest) {
    private val setting = Port(runtime, "set_weights", manifest)
    private val getting = Port(runtime, "get_weights", manifest)

    /** All weights, in the order of the layout. */
    var weights: FloatArray
        get() {
            getting.run()
            val found = vector(getting.output("weights")).asFloatBuffer()
            return FloatArray(manifest.weightSpec.size).also { found.get(it) }
        }
        set(value) {
            vector(setting.input("weights")).asFloatBuffer().put(value)
            setting.run()
        }

    fun port(signature: String): Port = Port(runtime, signature, manifest)

    /** Forgets what earlier steps left behind, if the model's optimizer remembers anything. */
    fun resetOptimizer() {
        if (RESET in manifest.signatures) port(RESET).run()
    }

    private fun vector(tensor: Tensor): ByteBuffer {
        val size = manifest.weightSpec.size
        if (tensor.elements != size) {
            throw unfitModel("${manifest.name} takes ${tensor.elements} weights, expected $size; export it again")
        }
        return tensor.buffer
    }

    companion object {
        const val RESET = "reset_optimizer"
    }
}
