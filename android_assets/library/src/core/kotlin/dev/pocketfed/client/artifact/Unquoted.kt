package dev.pocketfed.client.artifact

import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.descriptors.PrimitiveKind
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.descriptors.StructureKind
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive

/**
 * Throws IllegalArgumentException when a number or a boolean of the record [descriptor] is written as a
 * text in [element]: kotlinx.serialization takes both, and the server only the one.
 */
internal fun requireUnquoted(descriptor: SerialDescriptor, element: JsonElement) {
    when (descriptor.kind) {
        PrimitiveKind.STRING -> return
        is PrimitiveKind -> {
            val isQuoted = (element as? JsonPrimitive)?.isString == true
            require(!isQuoted) { "got $element, expected it without quotes" }
        }
        else -> for ((kind, part) in partsOf(descriptor, element)) requireUnquoted(kind, part)
    }
}

/** What a record, a list or a map holds of another kind; nothing where it is none of these. */
@OptIn(ExperimentalSerializationApi::class)
private fun partsOf(descriptor: SerialDescriptor, element: JsonElement): List<Pair<SerialDescriptor, JsonElement>> =
    when (descriptor.kind) {
        StructureKind.LIST -> (element as? JsonArray).orEmpty().map { descriptor.getElementDescriptor(0) to it }
        StructureKind.MAP -> (element as? JsonObject).orEmpty().values.map { descriptor.getElementDescriptor(1) to it }
        else -> (0 until descriptor.elementsCount).mapNotNull { place ->
            val part = (element as? JsonObject)?.get(descriptor.getElementName(place))
            part?.let { descriptor.getElementDescriptor(place) to it }
        }
    }
