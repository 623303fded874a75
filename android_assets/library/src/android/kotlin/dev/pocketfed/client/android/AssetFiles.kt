package dev.pocketfed.client.android

import android.content.res.AssetFileDescriptor
import android.content.res.AssetManager
import dev.pocketfed.client.Unfit
import dev.pocketfed.client.training.Material
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.io.IOException
import java.nio.MappedByteBuffer
import java.nio.channels.FileChannel

/** Artifacts among an app's assets, as `pocketfed android` lays them there. */
public class AssetFiles(private val assets: AssetManager) {
    /** The artifact in [folder], its model mapped. Throws Unfit. */
    public fun material(folder: String): Material =
        Material(map("$folder/$MODEL"), bytes("$folder/$MANIFEST"), bytes("$folder/$CHECKPOINT"))

    /** Maps the asset at [path], which takes no memory of the app's. Throws Unfit if it is compressed. */
    public fun map(path: String): MappedByteBuffer = opened(path).use(::mapped)

    /** The bytes of the asset at [path]. Throws Unfit. */
    public fun bytes(path: String): ByteArray = try {
        assets.open(path).use { it.readBytes() }
    } catch (error: IOException) {
        throw missing(path, error)
    }

    private fun opened(path: String): AssetFileDescriptor = try {
        assets.openFd(path)
    } catch (error: FileNotFoundException) {
        throw if (exists(path)) compressed(path, error) else missing(path, error)
    }

    private fun exists(path: String): Boolean = try {
        assets.open(path).use { true }
    } catch (_: FileNotFoundException) {
        false
    }

    public companion object {
        /** Where `pocketfed android` puts artifacts, each in a folder of its name. */
        public const val FOLDER: String = "pocketfed"
        private const val MODEL = "model.tflite"
        private const val MANIFEST = "manifest.json"
        private const val CHECKPOINT = "checkpoint.safetensors"
    }
}

// Not by createInputStream, whose channel counts from the asset on some versions of Android.
private fun mapped(file: AssetFileDescriptor): MappedByteBuffer =
    FileInputStream(file.fileDescriptor).channel
        .map(FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)

private fun compressed(path: String, cause: Throwable) = Unfit(
    "asset_compressed",
    "the asset $path is compressed and cannot be mapped; have the app's build file say " +
        "androidResources { noCompress += \"${path.substringAfterLast('.')}\" }",
    cause,
)

private fun missing(path: String, cause: Throwable) = Unfit(
    "asset_missing",
    "the app has no asset $path; lay the artifact into its assets with pocketfed android",
    cause,
)
