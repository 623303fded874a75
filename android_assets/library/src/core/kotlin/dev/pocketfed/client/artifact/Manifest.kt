package dev.pocketfed.client.artifact

import dev.pocketfed.client.Damaged
import dev.pocketfed.client.Unfit
import dev.pocketfed.client.protocol.Plan
import dev.pocketfed.client.wire.WeightEntry
import dev.pocketfed.client.wire.WeightSpec
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.Transient
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.decodeFromJsonElement
import kotlinx.serialization.json.jsonObject

/** One input or output of a signature; [shape] is static, [dtype] as NumPy names it. */
@Serializable
public data class TensorSpec(
    public val name: String,
    public val dtype: String,
    public val shape: List<Int>,
)

/** A callable entry of the model. */
@Serializable
public data class Signature(
    public val inputs: List<TensorSpec>,
    public val outputs: List<TensorSpec>,
)

/** A file of the artifact. */
@Serializable
public data class FileEntry(
    public val sha256: String,
    public val bytes: Long,
) {
    init {
        require(SHA256.matches(sha256)) { "got the digest $sha256, expected 64 small hexadecimal digits" }
        require(bytes >= 0) { "got a file of $bytes bytes, expected at least 0" }
    }
}

/** How raw values become model inputs: `(raw - offset) * scale`. */
@Serializable
public data class InputScale(
    public val offset: Double = 0.0,
    public val scale: Double = 1.0,
)

/** How far a phone's weights and losses may lie from the golden ones: `atol + rtol * |golden|`. */
@Serializable
public data class Tolerances(
    public val atol: Double,
    public val rtol: Double,
)

/**
 * What an app reads instead of hard-coding sizes; `docs/artifact.md` says what each field is.
 *
 * [batchSize] is the static batch of `train`, [evaluateBatchSize] that of `evaluate` and `infer`;
 * [measured] holds figures of the exporting machine by name with their unit.
 */
@Serializable
public data class Manifest(
    @SerialName("schema_version") public val schemaVersion: Int = SCHEMA_VERSION,
    public val name: String,
    @SerialName("created_by") public val createdBy: String,
    public val files: Map<String, FileEntry>,
    public val signatures: Map<String, Signature>,
    @SerialName("batch_size") public val batchSize: Int,
    @SerialName("evaluate_batch_size") public val evaluateBatchSize: Int,
    public val spec: List<WeightEntry>,
    public val loss: String,
    @SerialName("loss_weights") public val lossWeights: Map<String, Double> = emptyMap(),
    public val optimizer: String,
    public val proximal: Double = 0.0,
    public val trainable: String = "full",
    @SerialName("frozen_weights") public val frozenWeights: Long = 0,
    public val storage: String = "float32",
    @SerialName("input_scale") public val inputScale: InputScale = InputScale(),
    public val labels: List<String> = emptyList(),
    public val plan: Plan = Plan(),
    public val ops: Map<String, Int>,
    @SerialName("flex_ops") public val flexOps: List<String> = emptyList(),
    @SerialName("minimum_runtime") public val minimumRuntime: String,
    public val tolerances: Tolerances,
    public val measured: Map<String, Double> = emptyMap(),
) {
    /** The layout of the weights that travel. */
    @Transient
    public val weightSpec: WeightSpec = WeightSpec(spec)

    init {
        require(schemaVersion == SCHEMA_VERSION) { "got schema_version $schemaVersion, expected $SCHEMA_VERSION" }
        require(NAME.matches(name)) { "got the name '$name', expected up to 64 letters, digits, '.', '_' and '-'" }
        require(batchSize >= 1) { "got batch_size $batchSize, expected at least 1" }
        require(evaluateBatchSize >= 1) { "got evaluate_batch_size $evaluateBatchSize, expected at least 1" }
        require(frozenWeights >= 0) { "got frozen_weights $frozenWeights, expected at least 0" }
        require(storage in STORAGES) { "got the storage '$storage', expected one of $STORAGES" }
    }

    public companion object {
        public const val SCHEMA_VERSION: Int = 1

        /**
         * Reads `manifest.json`. Fields it does not know are ignored, except in `plan` and `spec`. Throws
         * Damaged (`damaged_artifact`) when it cannot be read, or says what cannot be.
         */
        public fun parse(json: ByteArray): Manifest = try {
            manifestIn(textOf(json))
        } catch (error: IllegalArgumentException) {
            throw damaged("the manifest cannot be read: ${firstLine(error)}; export the model again", error)
        } catch (error: CharacterCodingException) {
            throw damaged("the manifest is no UTF-8; export the model again", error)
        } catch (error: Unfit) {
            throw damaged(error.message.orEmpty(), error)
        }
    }
}

private val SHA256 = Regex("[0-9a-f]{64}")
private val NAME = Regex("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
private val STORAGES = listOf("float32", "float16")
private val tolerant = Json { ignoreUnknownKeys = true }

private fun manifestIn(text: String): Manifest {
    val tree = tolerant.parseToJsonElement(text).jsonObject
    // These two would be understood wrongly without a field that is not known here.
    tree["plan"]?.let { Json.decodeFromJsonElement<Plan>(it).requireUsable() }
    tree["spec"]?.let { Json.decodeFromJsonElement<List<WeightEntry>>(it) }
    return tolerant.decodeFromJsonElement(tree)
}

private fun textOf(json: ByteArray): String = Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(json)).toString()

private fun firstLine(error: Throwable): String = error.message.orEmpty().substringBefore('\n').trimEnd('.')

internal fun damaged(message: String, cause: Throwable? = null): Damaged = Damaged("damaged_artifact", message, cause)
