// What is made on a device.
#include <stdlib.h>

#include "table.h"

#define MOST_BUFFERS 8

void banana_vulkan_close_device(banana_vulkan_device *device) {
  device->vkDeviceWaitIdle(device->handle);
  device->vkDestroyDevice(device->handle, NULL);
  free(device);
}

static int32_t memory_type(const banana_vulkan_device *device, uint32_t allowed,
                           VkMemoryPropertyFlags wanted) {
  for (uint32_t i = 0; i < device->memory.memoryTypeCount; i++) {
    const VkMemoryPropertyFlags flags = device->memory.memoryTypes[i].propertyFlags;
    if ((allowed >> i & 1) && (flags & wanted) == wanted) return (int32_t)i;
  }
  return -1;
}

VkResult banana_vulkan_allocate(banana_vulkan_device *device, uint64_t byte_count,
                                VkMemoryPropertyFlags required, VkMemoryPropertyFlags preferred,
                                banana_vulkan_block *block) {
  *block = (banana_vulkan_block){0};
  const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                   .size = byte_count,
                                   .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                            VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                            VK_BUFFER_USAGE_TRANSFER_DST_BIT};
  VkResult status = device->vkCreateBuffer(device->handle, &info, NULL, &block->buffer);
  if (status != VK_SUCCESS) return status;
  VkMemoryRequirements needed;
  device->vkGetBufferMemoryRequirements(device->handle, block->buffer, &needed);
  int32_t type = memory_type(device, needed.memoryTypeBits, required | preferred);
  if (type < 0) type = memory_type(device, needed.memoryTypeBits, required);
  status = type < 0 ? VK_ERROR_FEATURE_NOT_PRESENT : VK_SUCCESS;
  if (status == VK_SUCCESS) {
    const VkMemoryAllocateInfo allocation = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                             .allocationSize = needed.size,
                                             .memoryTypeIndex = (uint32_t)type};
    status = device->vkAllocateMemory(device->handle, &allocation, NULL, &block->memory);
  }
  if (status == VK_SUCCESS) {
    status = device->vkBindBufferMemory(device->handle, block->buffer, block->memory, 0);
  }
  if (status == VK_SUCCESS && (required & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)) {
    status = device->vkMapMemory(device->handle, block->memory, 0, VK_WHOLE_SIZE, 0,
                                 &block->mapped);
  }
  if (status != VK_SUCCESS) {
    banana_vulkan_free(device, *block);
    *block = (banana_vulkan_block){0};
  }
  return status;
}

void banana_vulkan_free(banana_vulkan_device *device, banana_vulkan_block block) {
  device->vkDestroyBuffer(device->handle, block.buffer, NULL);
  // Unmaps it too.
  device->vkFreeMemory(device->handle, block.memory, NULL);
}

VkResult banana_vulkan_make_layout(banana_vulkan_device *device, uint32_t buffers,
                                   uint32_t push_bytes, banana_vulkan_layout *layout) {
  *layout = (banana_vulkan_layout){0};
  VkDescriptorSetLayoutBinding bindings[MOST_BUFFERS];
  if (buffers > MOST_BUFFERS) return VK_ERROR_INITIALIZATION_FAILED;
  for (uint32_t i = 0; i < buffers; i++) {
    bindings[i] = (VkDescriptorSetLayoutBinding){.binding = i,
                                                 .descriptorType =
                                                     VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                 .descriptorCount = 1,
                                                 .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
  }
  const VkDescriptorSetLayoutCreateInfo set = {
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
      .bindingCount = buffers,
      .pBindings = bindings};
  VkResult status =
      device->vkCreateDescriptorSetLayout(device->handle, &set, NULL, &layout->set);
  if (status != VK_SUCCESS) return status;
  const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                     .size = push_bytes};
  const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                           .setLayoutCount = 1,
                                           .pSetLayouts = &layout->set,
                                           .pushConstantRangeCount = 1,
                                           .pPushConstantRanges = &range};
  status = device->vkCreatePipelineLayout(device->handle, &info, NULL, &layout->pipeline);
  if (status != VK_SUCCESS) banana_vulkan_free_layout(device, *layout);
  return status;
}

void banana_vulkan_free_layout(banana_vulkan_device *device, banana_vulkan_layout layout) {
  device->vkDestroyPipelineLayout(device->handle, layout.pipeline, NULL);
  device->vkDestroyDescriptorSetLayout(device->handle, layout.set, NULL);
}

VkResult banana_vulkan_make_pipeline(banana_vulkan_device *device, VkPipelineCache cache,
                                     banana_vulkan_layout layout, const void *code,
                                     size_t byte_count, const uint32_t *constants, uint32_t count,
                                     VkPipeline *pipeline) {
  const VkShaderModuleCreateInfo source = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                           .codeSize = byte_count,
                                           .pCode = code};
  VkShaderModule module;
  VkResult status = device->vkCreateShaderModule(device->handle, &source, NULL, &module);
  if (status != VK_SUCCESS) return status;
  VkSpecializationMapEntry entries[8];
  if (count > 8) count = 8;
  for (uint32_t i = 0; i < count; i++) {
    entries[i] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
  }
  const VkSpecializationInfo special = {
      .mapEntryCount = count, .pMapEntries = entries, .dataSize = 4 * count, .pData = constants};
  const VkComputePipelineCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
      .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = module,
                .pName = "main",
                .pSpecializationInfo = &special},
      .layout = layout.pipeline};
  status = device->vkCreateComputePipelines(device->handle, cache, 1, &info, NULL, pipeline);
  device->vkDestroyShaderModule(device->handle, module, NULL);
  return status;
}

void banana_vulkan_free_pipeline(banana_vulkan_device *device, VkPipeline pipeline) {
  device->vkDestroyPipeline(device->handle, pipeline, NULL);
}

VkResult banana_vulkan_make_cache(banana_vulkan_device *device, const void *data,
                                  size_t byte_count, VkPipelineCache *cache) {
  const VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                          .initialDataSize = byte_count,
                                          .pInitialData = data};
  return device->vkCreatePipelineCache(device->handle, &info, NULL, cache);
}

VkResult banana_vulkan_read_cache(banana_vulkan_device *device, VkPipelineCache cache,
                                  size_t *byte_count, void *data) {
  return device->vkGetPipelineCacheData(device->handle, cache, byte_count, data);
}

void banana_vulkan_free_cache(banana_vulkan_device *device, VkPipelineCache cache) {
  device->vkDestroyPipelineCache(device->handle, cache, NULL);
}

VkResult banana_vulkan_make_recording(banana_vulkan_device *device, uint32_t sets,
                                      uint32_t buffers, banana_vulkan_recording *recording) {
  *recording = (banana_vulkan_recording){0};
  const VkCommandPoolCreateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                            .queueFamilyIndex = device->queue_family};
  VkResult status =
      device->vkCreateCommandPool(device->handle, &commands, NULL, &recording->commands);
  const VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                     .descriptorCount = buffers ? buffers : 1};
  const VkDescriptorPoolCreateInfo descriptors = {
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
      .maxSets = sets ? sets : 1,
      .poolSizeCount = 1,
      .pPoolSizes = &size};
  if (status == VK_SUCCESS) {
    status = device->vkCreateDescriptorPool(device->handle, &descriptors, NULL,
                                            &recording->descriptors);
  }
  const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
  if (status == VK_SUCCESS) {
    status = device->vkCreateFence(device->handle, &fence, NULL, &recording->fence);
  }
  if (status != VK_SUCCESS) {
    banana_vulkan_free_recording(device, *recording);
    *recording = (banana_vulkan_recording){0};
  }
  return status;
}

void banana_vulkan_free_recording(banana_vulkan_device *device,
                                  banana_vulkan_recording recording) {
  device->vkDestroyFence(device->handle, recording.fence, NULL);
  device->vkDestroyDescriptorPool(device->handle, recording.descriptors, NULL);
  device->vkDestroyCommandPool(device->handle, recording.commands, NULL);
}

VkResult banana_vulkan_begin(banana_vulkan_device *device, banana_vulkan_recording recording,
                             VkCommandBuffer *commands) {
  const VkCommandBufferAllocateInfo info = {
      .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
      .commandPool = recording.commands,
      .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
      .commandBufferCount = 1};
  const VkResult status = device->vkAllocateCommandBuffers(device->handle, &info, commands);
  if (status != VK_SUCCESS) return status;
  const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  return device->vkBeginCommandBuffer(*commands, &begin);
}

VkResult banana_vulkan_end(banana_vulkan_device *device, VkCommandBuffer commands) {
  return device->vkEndCommandBuffer(commands);
}

void banana_vulkan_free_commands(banana_vulkan_device *device, banana_vulkan_recording recording,
                                 VkCommandBuffer commands) {
  device->vkFreeCommandBuffers(device->handle, recording.commands, 1, &commands);
}

VkResult banana_vulkan_bind(banana_vulkan_device *device, banana_vulkan_recording recording,
                            banana_vulkan_layout layout, const VkDescriptorBufferInfo *buffers,
                            uint32_t count, VkDescriptorSet *set) {
  const VkDescriptorSetAllocateInfo info = {
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
      .descriptorPool = recording.descriptors,
      .descriptorSetCount = 1,
      .pSetLayouts = &layout.set};
  const VkResult status = device->vkAllocateDescriptorSets(device->handle, &info, set);
  if (status != VK_SUCCESS) return status;
  VkWriteDescriptorSet writes[MOST_BUFFERS];
  if (count > MOST_BUFFERS) return VK_ERROR_INITIALIZATION_FAILED;
  for (uint32_t i = 0; i < count; i++) {
    writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                       .dstSet = *set,
                                       .dstBinding = i,
                                       .descriptorCount = 1,
                                       .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                       .pBufferInfo = buffers + i};
  }
  device->vkUpdateDescriptorSets(device->handle, count, writes, 0, NULL);
  return VK_SUCCESS;
}

void banana_vulkan_dispatch(banana_vulkan_device *device, VkCommandBuffer commands,
                            VkPipeline pipeline, banana_vulkan_layout layout, VkDescriptorSet set,
                            const uint32_t *arguments, uint32_t count, uint32_t x, uint32_t y) {
  device->vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
  device->vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout.pipeline, 0, 1,
                                  &set, 0, NULL);
  device->vkCmdPushConstants(commands, layout.pipeline, VK_SHADER_STAGE_COMPUTE_BIT, 0, 4 * count,
                             arguments);
  device->vkCmdDispatch(commands, x, y, 1);
}

void banana_vulkan_copy(banana_vulkan_device *device, VkCommandBuffer commands, VkBuffer from,
                        uint64_t from_offset, VkBuffer to, uint64_t to_offset,
                        uint64_t byte_count) {
  const VkBufferCopy copy = {.srcOffset = from_offset, .dstOffset = to_offset, .size = byte_count};
  device->vkCmdCopyBuffer(commands, from, to, 1, &copy);
}

void banana_vulkan_barrier(banana_vulkan_device *device, VkCommandBuffer commands) {
  const VkMemoryBarrier barrier = {
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
      .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
      .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                       VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT |
                       VK_ACCESS_HOST_READ_BIT};
  const VkPipelineStageFlags work =
      VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
  device->vkCmdPipelineBarrier(commands, work, work | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier,
                               0, NULL, 0, NULL);
}

VkResult banana_vulkan_submit(banana_vulkan_device *device, banana_vulkan_recording recording,
                              const VkCommandBuffer *commands, uint32_t count) {
  const VkResult status = device->vkResetFences(device->handle, 1, &recording.fence);
  if (status != VK_SUCCESS) return status;
  const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                             .commandBufferCount = count,
                             .pCommandBuffers = commands};
  return device->vkQueueSubmit(device->queue, 1, &info, recording.fence);
}

VkResult banana_vulkan_wait(banana_vulkan_device *device, banana_vulkan_recording recording) {
  return device->vkWaitForFences(device->handle, 1, &recording.fence, VK_TRUE, UINT64_MAX);
}
