// The functions that are used, and what holds them.
#ifndef BANANA_VULKAN_TABLE_H
#define BANANA_VULKAN_TABLE_H

#include <stdatomic.h>

#include "CVulkan.h"

#define INSTANCE_FUNCTIONS(X) \
  X(vkDestroyInstance) \
  X(vkEnumeratePhysicalDevices) \
  X(vkGetPhysicalDeviceProperties) \
  X(vkGetPhysicalDeviceProperties2) \
  X(vkGetPhysicalDeviceFeatures2) \
  X(vkGetPhysicalDeviceMemoryProperties) \
  X(vkGetPhysicalDeviceQueueFamilyProperties) \
  X(vkEnumerateDeviceExtensionProperties) \
  X(vkCreateDevice) \
  X(vkGetDeviceProcAddr)

#define DEVICE_FUNCTIONS(X) \
  X(vkDestroyDevice) \
  X(vkDeviceWaitIdle) \
  X(vkGetDeviceQueue) \
  X(vkCreateBuffer) \
  X(vkDestroyBuffer) \
  X(vkGetBufferMemoryRequirements) \
  X(vkAllocateMemory) \
  X(vkFreeMemory) \
  X(vkBindBufferMemory) \
  X(vkMapMemory) \
  X(vkCreateDescriptorSetLayout) \
  X(vkDestroyDescriptorSetLayout) \
  X(vkCreatePipelineLayout) \
  X(vkDestroyPipelineLayout) \
  X(vkCreateShaderModule) \
  X(vkDestroyShaderModule) \
  X(vkCreateComputePipelines) \
  X(vkDestroyPipeline) \
  X(vkCreatePipelineCache) \
  X(vkGetPipelineCacheData) \
  X(vkDestroyPipelineCache) \
  X(vkCreateCommandPool) \
  X(vkDestroyCommandPool) \
  X(vkAllocateCommandBuffers) \
  X(vkFreeCommandBuffers) \
  X(vkBeginCommandBuffer) \
  X(vkEndCommandBuffer) \
  X(vkCreateDescriptorPool) \
  X(vkDestroyDescriptorPool) \
  X(vkAllocateDescriptorSets) \
  X(vkUpdateDescriptorSets) \
  X(vkCreateFence) \
  X(vkDestroyFence) \
  X(vkResetFences) \
  X(vkWaitForFences) \
  X(vkQueueSubmit) \
  X(vkCmdBindPipeline) \
  X(vkCmdBindDescriptorSets) \
  X(vkCmdPushConstants) \
  X(vkCmdDispatch) \
  X(vkCmdCopyBuffer) \
  X(vkCmdPipelineBarrier)

#define FIELD(name) PFN_##name name;

struct banana_vulkan {
  VkInstance handle;
  VkDebugUtilsMessengerEXT messenger;
  atomic_int complaints;
  char first_complaint[1024];
  INSTANCE_FUNCTIONS(FIELD)
};

struct banana_vulkan_device {
  VkDevice handle;
  VkQueue queue;
  uint32_t queue_family;
  VkPhysicalDeviceMemoryProperties memory;
  DEVICE_FUNCTIONS(FIELD)
};

#endif
