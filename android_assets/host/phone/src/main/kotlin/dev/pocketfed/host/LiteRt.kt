package dev.pocketfed.host

import com.sun.jna.Library
import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.Pointer
import com.sun.jna.ptr.PointerByReference
import dev.pocketfed.client.Unfit
import java.io.File
import java.util.concurrent.TimeUnit

/**
 * LiteRT's C interface as version 2.3 exports it (`litert/c/` of github.com/google-ai-edge/LiteRT). Every
 * function but those that destroy returns a LiteRtStatus, 0 for success; a `size_t` is a Long.
 */
@Suppress("FunctionName")
internal interface LiteRt : Library {
    fun LiteRtCreateEnvironment(count: Int, options: Pointer?, environment: PointerByReference): Int

    fun LiteRtCreateModelFromBuffer(environment: Pointer, bytes: Pointer, size: Long, model: PointerByReference): Int
    fun LiteRtDestroyModel(model: Pointer)

    fun LiteRtCreateOptions(options: PointerByReference): Int
    fun LiteRtSetOptionsHardwareAccelerators(options: Pointer, accelerators: Int): Int
    fun LiteRtDestroyOptions(options: Pointer)

    fun LiteRtCreateCompiledModel(environment: Pointer, model: Pointer, options: Pointer, made: PointerByReference): Int
    fun LiteRtDestroyCompiledModel(compiled: Pointer)

    fun LiteRtGetNumModelSignatures(model: Pointer, count: LongArray): Int
    fun LiteRtGetModelSignature(model: Pointer, index: Long, signature: PointerByReference): Int
    fun LiteRtGetSignatureKey(signature: Pointer, key: PointerByReference): Int
    fun LiteRtGetNumSignatureInputs(signature: Pointer, count: LongArray): Int
    fun LiteRtGetNumSignatureOutputs(signature: Pointer, count: LongArray): Int
    fun LiteRtGetSignatureInputName(signature: Pointer, index: Long, name: PointerByReference): Int
    fun LiteRtGetSignatureOutputName(signature: Pointer, index: Long, name: PointerByReference): Int
    fun LiteRtGetSignatureInputTensorByIndex(signature: Pointer, index: Long, tensor: PointerByReference): Int
    fun LiteRtGetSignatureOutputTensorByIndex(signature: Pointer, index: Long, tensor: PointerByReference): Int
    fun LiteRtGetRankedTensorType(tensor: Pointer, type: Pointer): Int

    fun LiteRtGetCompiledModelInputBufferRequirements(
        compiled: Pointer,
        signature: Long,
        index: Long,
        requirements: PointerByReference,
    ): Int

    fun LiteRtGetCompiledModelOutputBufferRequirements(
        compiled: Pointer,
        signature: Long,
        index: Long,
        requirements: PointerByReference,
    ): Int

    fun LiteRtCreateManagedTensorBufferFromRequirements(
        environment: Pointer,
        type: Pointer,
        requirements: Pointer,
        buffer: PointerByReference,
    ): Int

    fun LiteRtGetTensorBufferPackedSize(buffer: Pointer, size: LongArray): Int
    fun LiteRtLockTensorBuffer(buffer: Pointer, address: PointerByReference, mode: Int): Int
    fun LiteRtUnlockTensorBuffer(buffer: Pointer): Int
    fun LiteRtDestroyTensorBuffer(buffer: Pointer)

    fun LiteRtRunCompiledModel(
        compiled: Pointer,
        signature: Long,
        inputCount: Long,
        inputs: Pointer,
        outputCount: Long,
        outputs: Pointer,
    ): Int

    companion object {
        /** The CPU's bit of LiteRtHwAccelerators; without further options it works on one thread. */
        const val CPU = 1

        const val READ = 0
        const val WRITE = 1

        /** `sizeof(LiteRtRankedTensorType)` on 64 bits. */
        const val RANKED_TENSOR_TYPE_BYTES = 72L

        private const val OPTION_BYTES = 24L
        private const val MINIMUM_SEVERITY = 25
        private const val INT = 2
        private const val SILENT = 4L

        val library: LiteRt by lazy { Native.load(LiteRtPath.find().path, LiteRt::class.java) }

        /** What all models of a process share. It is never destroyed. */
        val environment: Pointer by lazy {
            // LiteRtEnvOption: an int tag, then a LiteRtAny of an int kind and a value of eight bytes.
            val silence = Memory(OPTION_BYTES)
            silence.setInt(0, MINIMUM_SEVERITY)
            silence.setLong(8, INT.toLong())
            silence.setLong(16, SILENT)
            made("environment") { library.LiteRtCreateEnvironment(1, silence, it) }
        }
    }
}

/** What a function gives through its last argument. Throws Unfit when its status is another than 0. */
internal fun made(what: String, call: (PointerByReference) -> Int): Pointer {
    val out = PointerByReference()
    require(what, call(out))
    return out.value
}

internal fun counted(what: String, call: (LongArray) -> Int): Long {
    val out = LongArray(1)
    require(what, call(out))
    return out[0]
}

internal fun require(what: String, status: Int) {
    if (status != 0) throw unfitModel("LiteRT gave status $status for $what, expected 0; export the model again")
}

internal fun unfitModel(message: String): Unfit = Unfit("unfit_model", message)

/** Where `libLiteRt.so` of the Python package ai-edge-litert is. */
internal object LiteRtPath {
    private const val QUESTION = "import ai_edge_litert as p; print(p.__path__[0])"
    private const val PATIENCE_S = 60L

    /**
     * The file that the system property or the environment variable POCKETFED_LITERT names, else that of the
     * Python POCKETFED_PYTHON, else of `python3`. Throws IllegalStateException when there is none.
     */
    fun find(): File {
        val named = setting("POCKETFED_LITERT")
        val found = File(named ?: "${folderOf(setting("POCKETFED_PYTHON") ?: "python3")}/libLiteRt.so")
        check(found.isFile) { "there is no $found; name libLiteRt.so of ai-edge-litert in POCKETFED_LITERT" }
        return found
    }

    private fun setting(name: String): String? = System.getProperty(name) ?: System.getenv(name)

    private fun folderOf(python: String): String {
        val process = ProcessBuilder(python, "-c", QUESTION).redirectError(ProcessBuilder.Redirect.DISCARD).start()
        val answer = process.inputStream.bufferedReader().readText().trim()
        check(process.waitFor(PATIENCE_S, TimeUnit.SECONDS) && process.exitValue() == 0) {
            "$python has no ai_edge_litert; install it there, or name libLiteRt.so in POCKETFED_LITERT"
        }
        return answer
    }
}
